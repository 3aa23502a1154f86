// Machine descriptions: reading, writing, and looking at this machine.
#include "test/compiler/policy/policy_fixture.h"

#include <chrono>

namespace ktc::policy::test {
namespace {

TEST(MachineTest, RoundTrip) {
  Machine machine = serverWith(2);
  machine.cpu.model = "odd \"name\" \\";
  machine.cpu.bf16Ops["amx"] = 1.5e13;
  Diagnostics diagnostics;
  auto read = parseMachine(machineToYaml(machine), "m.yaml", diagnostics);
  ASSERT_TRUE(read) << diagnostics.str();
  EXPECT_EQ(machineToYaml(*read), machineToYaml(machine));
  EXPECT_TRUE(read->measured);
  EXPECT_EQ(read->cpu.model, machine.cpu.model);
  EXPECT_EQ(read->cpu.memoryBytes, 1ull << 40);
  EXPECT_EQ(read->gpus[1].sm, 89);
  EXPECT_TRUE(read->hasDevice("cuda:1"));
  EXPECT_FALSE(read->hasDevice("cuda:2"));
}

TEST(MachineTest, Mistakes) {
  Diagnostics diagnostics;
  auto read =
      parseMachine("version: 1\n"
                   "cpu: {cores: 0, memroy: 3GiB, isa: [avx9], read_bandwidth: -1, int8_ops: {amx: fast}}\n"
                   "gpus: [{sm: 90, memory: lots}, 3]\n",
                   "m.yaml", diagnostics);
  EXPECT_FALSE(read);
  for (const char *message :
       {"m.yaml:2:17: error: unknown key 'memroy' in 'cpu'; did you mean 'memory'?",
        "m.yaml:2:37: error: unknown ISA level 'avx9'; did you mean 'avx2'?",
        "m.yaml:2:14: error: 'cores' needs a positive whole number, but found the text '0'",
        "error: 'read_bandwidth' needs a number that is not negative, but found the text '-1'",
        "error: 'int8_ops' needs a number that is not negative, but found the text 'fast'",
        "error: bad size 'lots'", "error: a GPU needs a map, but found the text '3'"})
    EXPECT_NE(diagnostics.str().find(message), std::string::npos) << message << "\nin\n" << diagnostics.str();
}

TEST(MachineTest, StructureErrors) {
  for (const char *text : {"", "[]", "version: 2\ncpu: {}", "version: 1", "version: 1\ncpu: 3",
                           "version: 1\ncpu: {}\ngpus: {}", "version: 1\ncpu: {}\nmeasured: maybe"}) {
    Diagnostics diagnostics;
    EXPECT_FALSE(parseMachine(text, "m.yaml", diagnostics)) << text;
    EXPECT_TRUE(diagnostics.hasErrors());
  }
}

TEST(MachineTest, DetectsThisMachine) {
  auto start = std::chrono::steady_clock::now();
  Machine machine = detectMachine();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (machine.gpus.empty()) { // starting a GPU driver is not ours to speed up
    EXPECT_LT(seconds, 0.3);
  }
  EXPECT_FALSE(machine.measured);
  EXPECT_GE(machine.cpu.cores, 1);
  EXPECT_GE(machine.cpu.threads, machine.cpu.cores);
  EXPECT_GT(machine.cpu.memoryBytes, 1u << 20);
  EXPECT_GT(machine.cpu.readBandwidth, 0);
}

TEST(MachineTest, ProbeMeasures) {
  ProbeOptions options;
  options.seconds = 0.05;
  options.bufferBytes = 16u << 20;
  options.gpus = false;
  Machine machine = probeMachine(options);
  EXPECT_TRUE(machine.measured);
  EXPECT_GT(machine.cpu.readBandwidth, 1e8);
  for (const std::string &isa : machine.cpu.isa)
    EXPECT_GT(machine.cpu.int8Ops[isa], 1e9) << isa;
  Diagnostics diagnostics;
  EXPECT_TRUE(parseMachine(machineToYaml(machine), "m.yaml", diagnostics)) << diagnostics.str();
}

} // namespace
} // namespace ktc::policy::test
