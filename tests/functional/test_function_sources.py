"""Sources of functions that one request between the services cannot carry."""

import base64
import contextlib
import gzip
import hashlib
import os
import threading

import psycopg
import pytest
from lib.wait import eventually
from test_functions import FUNCTION, ready, tar_header
from test_functions_hard import image, run  # noqa: F401

READS_DATA = """
import hashlib, os

def handle(ctx, payload):
    with open(os.path.join(os.path.dirname(__file__), "data"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
"""


def source_with(data: bytes) -> str:
    """As base64. What is random does not shrink."""
    tar = b""
    for name, content in (("./f.py", READS_DATA.encode()), ("./data", data)):
        tar += tar_header(name, len(content)) + content + b"\0" * (-len(content) % 512)
    return base64.b64encode(gzip.compress(tar, 1)).decode()


# Whoever writes the sixth piece of a source waits for who holds the lock.
HOLD = """
  create function hold_piece() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$;
  create trigger hold_piece before insert on source_pieces
    for each row when (new.number = 5) execute function hold_piece()"""
LET_GO = """
  select pg_advisory_unlock_all();
  drop trigger hold_piece on source_pieces;
  drop function hold_piece"""


@pytest.fixture
def half_way(stack):
    """While it lasts no source of more than five pieces is whole; half_way() ends it."""
    with psycopg.connect(stack.env["DISPATCH_PG_URL_FUNCTION_MANAGER"], autocommit=True) as connection:
        connection.execute(HOLD)
        connection.execute("select pg_advisory_lock(42)")
        with contextlib.ExitStack() as at_end:
            at_end.callback(connection.execute, LET_GO)
            yield at_end.close


def pieces(stack) -> int:
    with psycopg.connect(stack.env["DISPATCH_PG_URL_FUNCTION_MANAGER"]) as connection:
        (count,) = connection.execute(
            "select count(*) from source_pieces where number >= 0"
        ).fetchone()
    return count


def test_a_source_of_five_mebibytes_runs_and_is_replaced(org, stack, name, image):  # noqa: F811
    called = name("fn")
    path = f"{FUNCTION}/{called}"
    body = {"name": called, "image": image, "handler": "f.handle"}
    first, second = os.urandom(5 << 20), os.urandom(3 << 20)
    org.post(FUNCTION, {**body, "source": source_with(first)}, expect=201)
    assert ready(org, path)["status"] == "READY"
    assert run(org, called)["output"] == hashlib.sha256(first).hexdigest()
    before = org.get(path, expect=200).json()
    assert "source" not in before and "sourceDigest" not in before
    org.put(path, {**body, "source": source_with(first)}, expect=200)
    assert org.get(path, expect=200).json()["faasId"] == before["faasId"]  # the same again
    org.put(path, {**body, "source": source_with(second)}, expect=200)
    assert ready(org, path)["status"] == "READY"
    assert run(org, called)["output"] == hashlib.sha256(second).hexdigest()
    assert pieces(stack) == 0


def test_the_same_request_with_its_key_is_the_same(org, name, image):  # noqa: F811
    body = {"name": name("fn"), "image": image, "source": source_with(os.urandom(1 << 20))}
    headers = {"Idempotency-Key": name("key")}
    made = [org.post(FUNCTION, body, headers=headers, expect=201).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    org.post(FUNCTION, {**body, "handler": "f.handle"}, headers=headers, expect=422)


def test_beyond_sixteen_mebibytes_it_is_refused(org, stack, name, image):  # noqa: F811
    body = {"name": name("fn"), "image": image}
    source = source_with(os.urandom(17 << 20))
    refused = org.post(FUNCTION, {**body, "source": source}, expect=413).json()
    assert "16 MiB" in refused["message"] and refused["details"][0]["field"] == "source"
    org.get(f"{FUNCTION}/{body['name']}", expect=404)
    assert pieces(stack) == 0


def test_a_large_source_that_is_none_leaves_nothing(org, stack, name, image):  # noqa: F811
    body = {"name": name("fn"), "image": image}
    noise = base64.b64encode(os.urandom(2 << 20)).decode()
    refused = org.post(FUNCTION, {**body, "source": noise}, expect=422).json()
    assert "gzip" in refused["message"]
    broken = "!" + noise[1:]
    assert "base64" in org.post(FUNCTION, {**body, "source": broken}, expect=422).json()["message"]
    eventually(lambda: pieces(stack) == 0, "its pieces are gone")


@pytest.mark.disruptive
def test_a_function_manager_killed_in_the_middle_fails_nothing(
    org, healthy, stack, name, image, half_way  # noqa: F811
):
    called = name("fn")
    data = os.urandom(14 << 20)
    body = {"name": called, "image": image, "handler": "f.handle", "source": source_with(data)}
    answers = []
    upload = threading.Thread(target=lambda: answers.append(org.post(FUNCTION, body, timeout=90)))
    upload.start()
    eventually(lambda: pieces(stack) >= 2, "the first pieces are there")
    stack.kill("function-manager")
    half_way()
    stack.restart("function-manager")
    upload.join()
    assert answers[0].status_code == 201, answers[0].text
    assert ready(org, f"{FUNCTION}/{called}")["status"] == "READY"
    assert run(org, called)["output"] == hashlib.sha256(data).hexdigest()
    assert pieces(stack) == 0
