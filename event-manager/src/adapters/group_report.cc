#include "event-manager/src/adapters/group_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "schema/rfc3339.h"

namespace dispatch {

struct GroupReport::Query {
  std::vector<Group> groups;
  size_t next = 0;  // the first that was not asked for yet
  size_t most = kMost;
  size_t waiting = 0;
  std::optional<Error> error;  // the first that was met
  std::map<std::string, std::vector<broker::Offsets>> ends;
  std::function<void(Query&)> done;
};

namespace {

json::value OrNull(bool known, int64_t value) {
  return known ? json::value(value) : json::value(nullptr);
}

}  // namespace

void GroupReport::Register(broker::RpcServer& server) {
  server.Handle("groups.list",
                [this](const schema::Request&, Responder respond) { List(std::move(respond)); });
  server.Handle("groups.get", [this](const schema::Request& request, Responder respond) {
    Get(request, std::move(respond));
  });
}

void GroupReport::List(Responder respond) {
  broker_.admin().ListGroups([this, alive = std::weak_ptr(alive_), respond = std::move(respond)](
                                 Result<std::vector<broker::GroupSummary>> groups) {
    if (alive.expired()) return;
    if (!groups.ok()) return respond(groups.error());
    auto query = std::make_shared<Query>();
    for (auto& group : *groups) query->groups.push_back({group.name, group.state, {}, {}, false});
    query->done = [respond](Query& query) {
      json::array rows;
      for (const Group& group : query.groups) {
        int64_t lag = 0;
        bool known = group.described;
        for (const Partition& p : group.partitions) {
          if (p.known()) lag += p.lag();
        }
        rows.push_back({{"name", group.name},
                        {"state", group.state},
                        {"members", OrNull(known, static_cast<int64_t>(group.members.size()))},
                        {"lag", OrNull(known, lag)}});
      }
      broker::RpcReply reply;
      reply.body = std::move(rows);
      respond(std::move(reply));
    };
    Gather(query);
  });
}

void GroupReport::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto query = std::make_shared<Query>();
  query->groups.push_back({json::GetString(*body, "name"), "", {}, {}, false});
  query->done = [this, respond = std::move(respond)](Query& query) {
    Group& group = query.groups.front();
    if (!group.described) {
      return respond(
          query.error.value_or(Error{Code::kUnavailable, "Kafka does not answer", true}));
    }
    if (group.members.empty() && group.partitions.empty()) {
      return respond(Error{Code::kNotFound, "consumer group '" + group.name + "' does not exist"});
    }
    int64_t now_ms = ToMillis(loop_.Now());
    int64_t lag = 0;
    json::array partitions;
    for (const Partition& p : group.partitions) {
      if (p.known()) lag += p.lag();
      json::object form{{"topic", p.partition.topic},
                        {"partition", p.partition.partition},
                        {"committed", OrNull(p.committed >= 0, p.committed)},
                        {"end", OrNull(p.end >= 0, p.end)},
                        {"lag", OrNull(p.known(), p.lag())}};
      if (!p.member.empty()) form["member"] = p.member;
      if (p.oldest_ms > 0) {
        form["oldestUnread"] = schema::FormatRfc3339(FromMillis(p.oldest_ms));
        form["oldestUnreadSeconds"] =
            std::max(0.0, static_cast<double>(now_ms - p.oldest_ms) / 1000);
      }
      partitions.push_back(std::move(form));
    }
    json::array members;
    for (const std::string& member : group.members) members.push_back(json::value(member));
    broker::RpcReply reply;
    reply.body = json::object{{"name", group.name},
                              {"state", group.state},
                              {"members", std::move(members)},
                              {"lag", lag},
                              {"partitions", std::move(partitions)}};
    respond(std::move(reply));
  };
  Gather(query);
}

void GroupReport::Gather(QueryPtr query) {
  query->waiting = 1;
  for (size_t i = 0; i < kAtOnce; ++i) Next(query);
  if (--query->waiting == 0) ReadEnds(query);
}

void GroupReport::Next(const QueryPtr& query) {
  size_t index = query->next;
  if (index >= std::min(query->groups.size(), query->most)) return;
  ++query->next;
  ++query->waiting;
  std::string name = query->groups[index].name;
  auto failed = [this, query](const Error& error) {
    if (!query->error) query->error = error;
    Next(query);
    if (--query->waiting == 0) ReadEnds(query);
  };
  broker_.admin().DescribeGroup(name, [this, query, index, name, failed,
                                       alive =
                                           std::weak_ptr(alive_)](Result<broker::GroupInfo> info) {
    if (alive.expired()) return;
    if (!info.ok()) return failed(info.error());
    Group& group = query->groups[index];
    if (!info->state.empty()) group.state = info->state;
    for (const auto& member : info->members) {
      group.members.push_back(member.client_id);
      for (const auto& tp : member.partitions) {
        Partition& partition = group.partitions.emplace_back();
        partition.partition = tp;
        partition.member = member.client_id;
      }
    }
    broker_.admin().ListGroupOffsets(name, [this, query, index, failed, alive](
                                               Result<std::vector<broker::GroupOffset>> offsets) {
      if (alive.expired()) return;
      if (!offsets.ok()) return failed(offsets.error());
      Group& group = query->groups[index];
      for (const auto& offset : *offsets) {
        auto it = std::find_if(group.partitions.begin(), group.partitions.end(),
                               [&](auto& known) { return known.partition == offset.partition; });
        if (it == group.partitions.end()) {
          it = group.partitions.emplace(it);
          it->partition = offset.partition;
        }
        it->committed = offset.committed;
      }
      std::sort(group.partitions.begin(), group.partitions.end(),
                [](const auto& a, const auto& b) { return a.partition < b.partition; });
      group.described = true;
      Next(query);
      if (--query->waiting == 0) ReadEnds(query);
    });
  });
}

void GroupReport::ReadEnds(const QueryPtr& query) {
  std::set<std::string> topics;
  for (const Group& group : query->groups) {
    for (const Partition& p : group.partitions) topics.insert(p.partition.topic);
  }
  query->waiting = topics.size() + 1;
  auto arrived = [this, query] {
    if (--query->waiting == 0) ReadTimes(query);
  };
  for (const std::string& topic : topics) {
    broker_.admin().ListOffsets(topic, [query, topic, arrived, alive = std::weak_ptr(alive_)](
                                           Result<std::vector<broker::Offsets>> offsets) {
      if (alive.expired()) return;
      if (offsets.ok()) query->ends[topic] = std::move(*offsets);  // else it is gone, or denied
      arrived();
    });
  }
  arrived();
}

// Of one group: a list would read too much.
void GroupReport::ReadTimes(const QueryPtr& query) {
  query->waiting = 1;
  auto arrived = [query] {
    if (--query->waiting == 0) query->done(*query);
  };
  bool one = query->groups.size() == 1;
  for (Group& group : query->groups) {
    for (size_t i = 0; i < group.partitions.size(); ++i) {
      Partition& p = group.partitions[i];
      auto ends = query->ends.find(p.partition.topic);
      auto index = static_cast<size_t>(p.partition.partition);
      if (ends == query->ends.end() || index >= ends->second.size()) continue;
      p.end = ends->second[index].latest;
      p.earliest = ends->second[index].earliest;
      if (!one || !p.known() || p.lag() == 0) continue;
      ++query->waiting;
      times_.Find(p.partition, std::max(p.committed, p.earliest),
                  [query, i, arrived](std::optional<int64_t> time) {
                    query->groups.front().partitions[i].oldest_ms = time.value_or(0);
                    arrived();
                  });
    }
  }
  arrived();
}

}  // namespace dispatch
