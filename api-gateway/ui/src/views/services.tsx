import { get } from "../api";
import { count, span } from "../format";
import { Fault, Figure, Heading, Table, useLoaded } from "../parts/basics";

interface Status {
  status: string;
  services: { name: string; ready: boolean; heardSecondsAgo?: number }[];
  publishing: number;
}

const SILENT = 4; // seconds

const ROLES: Record<string, string> = {
  identity: "keys, policies, organisations",
  "event-manager": "matches events with subscriptions",
  "function-manager": "delivers, retries, runs functions",
};

export function Services() {
  const status = useLoaded((signal) => get<Status>("/v1/status", signal), [], 2000);
  const version = useLoaded((signal) => get<{ version: string; commit: string }>("/v1/version", signal), []);
  return (
    <>
      <Heading title="Services" />
      <Fault error={status.error} />
      {status.value && (
        <>
          <Table label="Services" columns={["Service", "State", ["Last heard", "num"], "What it does"]}>
            {status.value.services.map((service) => {
              const ago = service.heardSecondsAgo;
              const well = service.ready && ago !== undefined && ago < SILENT;
              return (
                <tr key={service.name}>
                  <td>{service.name}</td>
                  <td>
                    <span class={`state ${well ? "good" : "bad"}`}>
                      <span class="mark" aria-hidden="true">{well ? "✓" : "✕"}</span>
                      {well ? "Heard" : "Silent"}
                    </span>
                  </td>
                  <td class="num">{ago === undefined ? "never" : `${span(ago)} ago`}</td>
                  <td class="dim">{ROLES[service.name]}</td>
                </tr>
              );
            })}
          </Table>
          <dl class="figures">
            <Figure label="Being published">{count(status.value.publishing)}</Figure>
            <Figure label="Gateway">
              {version.value ? `${version.value.version} ${version.value.commit.slice(0, 8)}` : "–"}
            </Figure>
          </dl>
        </>
      )}
    </>
  );
}
