"""Looking into a topic: pages, streams, and where an event of some id is."""


def test_pages_show_events_and_link_to_the_rest(fresh_org):
    fresh_org.create_topic("orders", partitions=1)
    ids = [fresh_org.publish("orders", data={"n": n})["id"] for n in range(5)]
    seen, path = [], "/v1/topics/orders/events?limit=2"
    while path:
        answer = fresh_org.get(path, expect=200)
        seen += [item["event"]["id"] for item in answer.json()]
        path = answer.links.get("next", {}).get("url")
    assert seen == ids


def test_a_stream_tells_what_is_published(fresh_org):
    fresh_org.create_topic("orders", partitions=1)
    first = fresh_org.publish("orders")["id"]
    path = "/v1/topics/orders/events?follow=true&from=earliest&limit=1"
    answer = fresh_org.get(path, expect=200)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert f'"id":"{first}"' in answer.text and "\nid: 0:1\n" in "\n" + answer.text


def test_an_event_is_found_by_its_id(fresh_org):
    fresh_org.create_topic("orders", partitions=1)
    position = fresh_org.publish("orders", id="the-one")
    answer = fresh_org.get("/v1/events/the-one?topic=orders", expect=200).json()
    assert [f["offset"] for f in answer["found"]] == [position["offset"]]
    assert answer["complete"]
