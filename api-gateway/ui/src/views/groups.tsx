// Any consumer group of the Kafka cluster, to look at: what Burrow and an exporter are run for elsewhere.
import { at, get } from "../api";
import { count, counted, moment, span } from "../format";
import { Empty, Fault, Heading, Table, useLoaded } from "../parts/basics";
import { link } from "../router";

interface Group {
  name: string;
  state: string;
  members: number | null;
  lag: number | null;
}

interface Place {
  topic: string;
  partition: number;
  committed: number | null;
  end: number | null;
  lag: number | null;
  member?: string;
  oldestUnread?: string;
  oldestUnreadSeconds?: number;
}

interface GroupDetail {
  name: string;
  state: string;
  members: string[];
  lag: number;
  partitions: Place[];
}

const EVERY = 5000; // ms

export function Groups() {
  const list = useLoaded((signal) => get<Group[]>("/v1/consumer-groups", signal), [], EVERY);
  return (
    <>
      <Heading title="Consumer groups" />
      <Fault error={list.error} retry={list.reload} />
      {list.value?.length === 0 && <Empty>No group has consumed from this cluster yet.</Empty>}
      {list.value && list.value.length > 0 && (
        <Table label="Consumer groups" columns={["Group", "State", ["Members", "num"], ["Lag", "num"]]}>
          {list.value.map((group) => (
            <tr key={group.name}>
              <td>
                <a href={link(["groups", group.name])}>{group.name}</a>
              </td>
              <td>{group.state}</td>
              <td class="num">{count(group.members)}</td>
              <td class="num">{count(group.lag)}</td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

export function GroupView({ name }: { name: string }) {
  const group = useLoaded((signal) => get<GroupDetail>(at`/v1/consumer-groups/${name}`, signal), [name], EVERY);
  const told = group.value;
  return (
    <>
      <Heading title={name} />
      <Fault error={group.error} retry={group.reload} />
      {told && (
        <>
          <p class="summary">
            <span>{told.state}</span>
            <span>{counted(told.members.length, "member")}</span>
            <span>
              <b>{count(told.lag)}</b> behind
            </span>
          </p>
          <Table label="Partitions"
            columns={["Topic", ["Partition", "num"], ["Committed", "num"], ["End of log", "num"], ["Lag", "num"], ["Oldest unread", "num"], "Member"]}>
            {told.partitions.map((place) => (
              <tr key={`${place.topic}/${place.partition}`}>
                <td>{place.topic}</td>
                <td class="num">{place.partition}</td>
                <td class="num">{place.committed == null ? "nothing" : count(place.committed)}</td>
                <td class="num">{count(place.end)}</td>
                <td class="num">{count(place.lag)}</td>
                <td class="num" title={place.oldestUnread && `since ${moment(place.oldestUnread)}`}>
                  {span(place.oldestUnreadSeconds)}
                </td>
                <td class="dim">{place.member ?? "nobody"}</td>
              </tr>
            ))}
          </Table>
        </>
      )}
    </>
  );
}
