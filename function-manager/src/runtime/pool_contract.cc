#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>

#include "function-manager/src/runtime/internal/run_log.h"
#include "function-manager/src/runtime/testing/runner_fixture.h"

namespace dispatch::runtime::pool_contract {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPython =
    "import os, time\n"
    "def handle(ctx, payload):\n"
    "  time.sleep(payload or 0)\n"
    "  return os.getpid()\n";

class Pool : public RunnerFixture {};

TEST_F(Pool, RunsOfOneWorkerComeInTheirOrder) {
  auto version = Python("n = 0\ndef handle(ctx, payload):\n  global n\n  n += 1\n  return n\n");
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> runs;
  for (int i = 0; i < 20; ++i) runs.push_back(Begin(version));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Await(runs[i]).payload, json::value(i + 1));
  EXPECT_EQ(runner().stats().started, 1U);
}

TEST_F(Pool, AsManyWorkersAsTheVersionAllowsAndNoMore) {
  auto version = Python(kPython);
  version->concurrency = 3;
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> runs;
  for (int i = 0; i < 7; ++i) runs.push_back(Begin(version, 0.2));
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 3; }));
  for (auto& run : runs) EXPECT_EQ(Failure(Await(run)), "");
  EXPECT_EQ(runner().stats().started, 3U);
}

TEST_F(Pool, AFullQueueRefuses) {
  options_.max_queue = 2;
  auto version = Python(kPython);
  auto first = Begin(version, 0.3);
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 1; }));
  auto second = Begin(version);
  auto third = Begin(version);
  EXPECT_THAT(Failure(Await(Begin(version))), HasSubstr("SystemError: too many runs wait"));
  for (auto& run : {first, second, third}) EXPECT_EQ(Failure(Await(run)), "");
}

TEST_F(Pool, TheLongestIdleWorkerMakesRoom) {
  options_.max_workers = 2;
  auto a = Python(kPython);
  auto b = Python(kPython);
  auto c = Python(kPython);
  EXPECT_TRUE(Run(a).cold);
  EXPECT_TRUE(Run(b).cold);
  EXPECT_FALSE(Run(a).cold);
  EXPECT_TRUE(Run(c).cold);  // in place of b's
  EXPECT_EQ(runner().stats().workers, 2);
  EXPECT_FALSE(Run(a).cold);
  EXPECT_TRUE(Run(b).cold);
}

TEST_F(Pool, AVersionWithoutAWorkerGetsTheNextPlace) {
  options_.max_workers = 1;
  auto busy = Python(kPython);
  auto other = Python(kPython);
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> runs;
  for (int i = 0; i < 2; ++i) runs.push_back(Begin(busy, 0.05));
  auto waits = Begin(other);
  for (int i = 0; i < 20; ++i) runs.push_back(Begin(busy, 0.05));
  EXPECT_EQ(Failure(Await(waits)), "");
  EXPECT_FALSE(runs.back()->has_value()) << "all of the busy version's runs came before it";
  for (auto& run : runs) EXPECT_EQ(Failure(Await(run)), "");
}

TEST_F(Pool, AnOrganisationHasThreeQuartersOfTheWorkersAtMost) {
  options_.max_workers = 4;
  auto busy = Python(kPython);
  auto warm = Python(kPython);
  auto other = Python(kPython);
  busy->concurrency = 64;
  other->org = "other";
  EXPECT_EQ(Failure(Run(warm)), "");
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> runs;
  for (int i = 0; i < 8; ++i) runs.push_back(Begin(busy, 100, 20s));
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 3; }));
  EXPECT_EQ(runner().stats().workers, 4) << "one is idle, in nobody's way";
  auto held = Begin(warm);
  EXPECT_EQ(Failure(Run(other)), "");
  EXPECT_EQ(runner().stats().busy, 3);
  EXPECT_FALSE(held->has_value());
  EXPECT_FALSE(runs[0]->has_value()) << "they ended before the other organisation's run";
}

TEST_F(Pool, WhatAnOrganisationsShareHeldGoesOnInItsOrder) {
  options_.max_workers = 2;  // one of each organisation
  auto busy = Python(kPython);
  auto next = Python(kPython);
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> runs;
  for (int i = 0; i < 2; ++i) runs.push_back(Begin(busy, 0.05));
  auto waits = Begin(next);
  for (int i = 0; i < 20; ++i) runs.push_back(Begin(busy, 0.05));
  EXPECT_EQ(Failure(Await(waits)), "");
  EXPECT_FALSE(runs.back()->has_value()) << "all of the busy version's runs came before it";
  for (auto& run : runs) EXPECT_EQ(Failure(Await(run)), "");
  EXPECT_EQ(runner().stats().started, 2U) << "idle ones were ended for nobody";
}

TEST_F(Pool, RunsThatWaitedInVainAreInNobodysWay) {
  options_.max_workers = 1;
  auto busy = Python(kPython);
  auto first = Begin(busy, 0.5);
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 1; }));
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> late;
  for (int i = 0; i < 3; ++i) late.push_back(Begin(Python(kPython), nullptr, 50ms));
  auto second = Begin(busy);
  auto other = Begin(Python(kPython));
  for (auto& run : late) EXPECT_THAT(Failure(Await(run)), HasSubstr("Did not invoke"));
  for (auto& run : {first, second, other}) EXPECT_EQ(Failure(Await(run)), "");
}

TEST_F(Pool, IdleAndRetiredWorkersEnd) {
  options_.idle = 100ms;
  auto version = Python(kPython);
  EXPECT_TRUE(Prove(version).ok());
  EXPECT_FALSE(Run(version).payload.is_null());
  EXPECT_EQ(runner().stats().started, 1U) << "the worker of the proof serves";
  EXPECT_TRUE(Until([&] { return runner().stats().workers == 0; }));
  EXPECT_TRUE(Until([&] { return Processes() == 0; }));

  options_.idle = 1h;
  runner_.reset();
  auto run = Begin(version, 0.1);
  auto next = Begin(version);
  runner().Retire(version->id);
  EXPECT_EQ(Failure(Await(run)), "");
  EXPECT_EQ(Failure(Await(next)), "") << "what was asked before still runs";
  EXPECT_TRUE(Until([&] { return runner().stats().workers == 0; }));
}

TEST_F(Pool, TheDeadlineEndsTheWholeSandboxAndTheNextRunGetsANewOne) {
  auto version = Python(
      "import os, subprocess, time\n"
      "def handle(ctx, payload):\n"
      "  if payload: return payload\n"
      "  print('begun')\n"
      "  subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
      "  while True: pass\n");
  EXPECT_TRUE(Run(version, 1).cold);  // to begin takes some machines longer than the deadline
  RunOutcome outcome = Run(version, nullptr, 500ms);
  EXPECT_EQ(Failure(outcome), "FunctionError: Function execution exceeded the timeout");
  EXPECT_THAT(outcome.out, ElementsAre("begun"));
  RunOutcome next = Run(version, 1);
  EXPECT_EQ(next.payload, json::value(1));
  EXPECT_TRUE(next.cold);
  runner_.reset();
  EXPECT_TRUE(Until([&] { return Processes() == 0; }));
}

TEST_F(Pool, TheDeadlineCountsTheWait) {
  auto version = Python(kPython);
  auto first = Begin(version, 0.5);
  auto late = Begin(version, nullptr, 100ms);
  EXPECT_THAT(Failure(Await(late)), HasSubstr("FunctionError: Did not invoke, already exceeded"));
  EXPECT_EQ(Failure(Await(first)), "");
  EXPECT_EQ(runner().stats().waiting, 0U);
}

TEST_F(Pool, LoadingThatDoesNotEndIsTheFunctionsFault) {
  options_.start = 500ms;
  auto version = Python("while True: pass\n");
  EXPECT_EQ(Prove(version).code(), Code::kUnprocessable);
  EXPECT_THAT(Failure(Run(version)),
              HasSubstr("FunctionError: The function was not loaded in time"));
}

TEST_F(Pool, LargeRequestsAndAnswersPass) {
  options_.answer_bytes = 3'000'000;
  auto version = Python("def handle(ctx, payload): return payload + payload\n");
  std::string text(1'000'000, 'x');
  EXPECT_EQ(Run(version, json::value(text)).payload, json::value(text + text));
  EXPECT_THAT(Failure(Run(version, json::value(text + text))),
              HasSubstr("FunctionError: The function's answer is larger than 3000000 bytes"));
  EXPECT_EQ(Run(version, "a").payload, json::value("aa"));
}

TEST_F(Pool, NothingIsLeftOfItsEnd) {
  int before = OpenFiles();
  auto version = Python(kPython);
  version->concurrency = 3;
  bool called = false;
  for (int i = 0; i < 5; ++i) {
    runner().Run(version, RunInput{{}, 100, 0ms}, [&](RunOutcome) { called = true; });
  }
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 3; }));
  EXPECT_GE(Processes(), 3);
  runner_.reset();
  EXPECT_TRUE(Until([&] { return Processes() == 0; }));
  EXPECT_FALSE(called) << "after its end nothing is called back";
  EXPECT_EQ(OpenFiles(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a zombie";
}

TEST_F(Pool, ManyEndsLeakNoDescriptor) {
  auto version = Python("import os\ndef handle(ctx, payload): os._exit(1)\n");
  (void)Run(version);
  ASSERT_TRUE(Until([&] { return runner().stats().workers == 0; }));
  int before = OpenFiles();
  for (int i = 0; i < 5; ++i) (void)Run(version);
  ASSERT_TRUE(Until([&] { return runner().stats().workers == 0; }));
  EXPECT_EQ(OpenFiles(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a zombie";
}

TEST_F(Pool, AServiceThatIsKilledLeavesNoProcess) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  auto version = Python(
      "import subprocess, time\n"
      "def handle(ctx, payload):\n"
      "  subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
      "  time.sleep(1000)\n");
  pid_t service = fork();
  if (service == 0) {
    EventLoop loop;
    ProcessRunner runner(loop, options_);
    runner.Run(version, RunInput{{}, nullptr, 0ms}, [](RunOutcome) {});
    // The function and its child, and bwrap's two.
    (void)loop.RunUntil([&] { return runner.stats().busy == 1 && Processes() >= 4; }, 30s);
    (void)!write(ready[1], "x", 1);
    loop.Run();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_GE(Processes(), 3);
  kill(service, SIGKILL);
  waitpid(service, nullptr, 0);
  EXPECT_TRUE(Until([&] { return Processes() == 0; }));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(Pool, WithoutASandboxFunctionsAreRefusedUnlessItIsOff) {
  options_.bwrap = "/absent/bwrap";
  runner_ = std::make_unique<ProcessRunner>(loop_, options_);
  auto version = Python(kPython);
  Status status = Prove(version);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("install the package bubblewrap"));
  EXPECT_THAT(Failure(Run(version)), HasSubstr("SystemError: functions need bubblewrap"));
  options_.bwrap = "/bin/false";
  runner_ = std::make_unique<ProcessRunner>(loop_, options_);
  EXPECT_THAT(Prove(version).message(), HasSubstr("bubblewrap makes no sandbox on this machine"));
  options_.sandbox = false;
  runner_ = std::make_unique<ProcessRunner>(loop_, options_);
  EXPECT_TRUE(Prove(version).ok());
  EXPECT_EQ(Failure(Run(version)), "");
}

TEST_F(Pool, ARunsLogIsCutAtItsBound) {
  options_.log_bytes = 1000;
  auto version = Python(
      "def handle(ctx, payload):\n"
      "  for i in range(payload): print('line', i)\n");
  RunOutcome outcome = Run(version, 10);
  EXPECT_FALSE(outcome.logs_cut);
  EXPECT_EQ(outcome.out.size(), 10U);
  outcome = Run(version, 10000);
  EXPECT_EQ(Failure(outcome), "");
  EXPECT_TRUE(outcome.logs_cut);
  EXPECT_LT(outcome.out.size(), 50U);
  EXPECT_EQ(Run(version, 1).out.size(), 1U) << "nothing of the run before";
}

TEST(RunLog, KeepsLinesAsValidText) {
  RunLog log(1000);
  log.Append(false, "a\xc3");
  log.Append(false, "\xa4\r\n\xff\xed\xa0\x80\n\n");
  log.Append(true, std::string_view("e\0nd", 4));
  log.Finish();
  EXPECT_THAT(log.out, ElementsAre("aä", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", ""));
  EXPECT_THAT(log.err, ElementsAre("e\xef\xbf\xbdnd"));
  EXPECT_FALSE(log.cut());
}

}  // namespace
}  // namespace dispatch::runtime::pool_contract
