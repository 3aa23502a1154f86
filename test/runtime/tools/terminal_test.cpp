// The progress bar: its text, and its silence where nobody watches.
#include "runtime/tools/terminal.h"

#include <gtest/gtest.h>

using namespace ktrt::tools;

TEST(ProgressLine, Shares) {
  EXPECT_EQ(progressLine("work", 0, 4, 4, ""), "work [    ] 0%");
  EXPECT_EQ(progressLine("work", 2, 4, 4, "note"), "work [==  ] 50%  note");
  EXPECT_EQ(progressLine("work", 4, 4, 4, ""), "work [====] 100%");
}

TEST(ProgressLine, OddTotals) {
  EXPECT_EQ(progressLine("work", 0, 0, 4, ""), "work [    ] 0%");
  EXPECT_EQ(progressLine("work", 9, 4, 4, ""), "work [====] 100%");
}

TEST(ProgressBar, PrintsNothingIntoFiles) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar("work");
    bar.update(1, 2);
    bar.clear();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}
