// The text form of a plan.
#include "runtime/plan/dump.h"

#include "toy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using testing::HasSubstr;

namespace {

TEST(Dump, ShowsEverything) {
  toy::TemporaryDirectory directory;
  toy::Plan plan;
  plan.linkBias(directory.path, "model.gguf");
  plan.plan.chat_template = "{{ messages }}\nentry[0]";
  plan.plan.provenance->transforms = {"fewer_experts=4"};
  auto &entry = *plan.plan.entries[toy::Decode1];
  toy::addHint(*entry.programs[0]->commands[1]->body.AsDispatch(), toy::arena(toy::Cache, 8), 1, 1, 1, 4);
  entry.signals = 1;
  entry.programs[0]->commands.push_back(std::make_unique<ktrt::plan::CommandT>(toy::signal(0, true)));
  entry.programs[0]->commands.push_back(std::make_unique<ktrt::plan::CommandT>(toy::wait(0)));
  auto file = ktrt::plan::PlanFile::open(plan.write(directory.path));
  ASSERT_TRUE(file) << file.error().message;
  std::string text = dumpPlan(*file);
  for (const char *line : {
           "plan version 1 abi 4 bytes ",
           "\nsection[1] code offset 0x",
           "\nmodel 'toy' architecture toy layers 0 embedding 0 vocab 10 context 64 of 0\n",
           "\n  weight_bytes 0 weight_bytes_per_token 1000 kv_bytes_per_token 4\n",
           "\ndevice[0] 'cpu' cpu budget 0 planned 0\n",
           "\nlane[0] 'cpu' cpu_team device 0\n",
           "\narena[2] 'cache' kv_cache device 0 bytes 256\n",
           "\nfile[0] 'model.gguf' bytes 3145728 hash ",
           "\nweight[0] 'bias' f32 1 file[0]+0x2ffffb bytes 4 device 0\n",
           "\nkernel[1] 'toy_prefix' family prefix\n  avx2 section[1]+0x",
           "\nentry[0] 'decode_1' capacity 1 signals 1 tokens arena[0]+0x0 positions arena[0]+0x40 logits "
           "arena[0]+0x80\n  on lane[0] 'cpu' commands 7\n",
           "\n    [1] barrier; dispatch kernel[1] 'toy_prefix' (arena[0]+0x40, arena[2]+0x0, weight[0]+0x0, "
           "arena[1]+0x40) units 0 + 1/token reads 4 path 'model.layers.0' streams 2 by 4 of 4 hint "
           "arena[2]+0x8: 1 of 1 experts\n",
           "\n    [2] barrier; copy arena[1]+0x40 -> arena[1]+0x0 bytes 0 + 4/token\n",
           "\n    [3] barrier; fill arena[0]+0x80 bytes 0 + 40/token value 255\n",
           "\n    [5] barrier; signal 0\n    [6] wait 0\n",
           "\nentry[2] 'prefill' capacity 8 dynamic signals 0 tokens arena[0]+0x0 positions arena[0]+0x40 "
           "logits -\n",
           "\ntokenizer 'no_vocab' pre '' tokens 0 ",
           "\nchat_template\n  text:\n    | {{ messages }}\n    | entry[0]\n",
           "\nsampling temperature 0.8 top_k 40 top_p 0.95 min_p 0.05 repeat_penalty 1\n",
           "\nprovenance compiler 'toy 1' options '' policy ''\n",
           "\n  transform 'fewer_experts=4'\n",
           "\n  policy:\n    | version: 1\n    | rules: []\n",
       })
    EXPECT_THAT(text, HasSubstr(line));
}

} // namespace
