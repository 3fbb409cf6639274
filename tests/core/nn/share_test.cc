#include "core/nn/share.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/helped_team.h"

namespace contexture::nn {
namespace {

using test_support::HelpedTeam;

// How often each cell of EXTENT is in a part.
std::vector<int> Cover(const Extent& extent, int wanted) {
  std::vector<int> cells(static_cast<size_t>(extent.rows) * extent.columns);
  const ExtentParts parts(extent, wanted);
  EXPECT_LE(parts.count(), wanted);
  for (int i = 0; i < parts.count(); ++i) {
    const ExtentPart part = parts[i];
    EXPECT_GT(part.rows, 0);
    EXPECT_GT(part.columns, 0);
    EXPECT_EQ(part.first_row % extent.row_step, 0);
    EXPECT_EQ(part.first_column % extent.column_step, 0);
    const int end_row = part.first_row + part.rows, end = part.first_column + part.columns;
    EXPECT_TRUE(end_row == extent.rows || end_row % extent.row_step == 0);
    EXPECT_TRUE(end == extent.columns || end % extent.column_step == 0);
    for (int r = part.first_row; r < end_row; ++r) {
      for (int c = part.first_column; c < end; ++c) ++cells[r * extent.columns + c];
    }
  }
  return cells;
}

TEST(ShareTest, PartsAreOfWholeStepsAndHoldEachCellOnce) {
  for (const Extent& extent : {Extent{1}, Extent{16, 1152, 32, 64}, Extent{128, 384, 32, 64},
                               Extent{7, 100, 8, 32}, Extent{100, 7, 3, 100}, Extent{33, 3}}) {
    for (int wanted : {1, 2, 3, 8, 16, 1000}) {
      for (int count : Cover(extent, wanted)) ASSERT_EQ(count, 1) << extent.rows << " " << wanted;
    }
  }
}

TEST(ShareTest, ColumnsAreCutBeforeRows) {
  EXPECT_EQ(ExtentParts({128, 256, 32, 64}, 4)[1].rows, 128);
  const ExtentParts both({128, 256, 32, 64}, 8);
  EXPECT_EQ(both.count(), 8);
  EXPECT_EQ(both[1].rows, 64);
  EXPECT_EQ(both[1].columns, 64);
}

struct CountedWorkspace : Workspace {
  int parts = 0;
};

TEST(ShareTest, AMemberComputesWithItsOwnWorkspace) {
  HelpedTeam helped(3);
  CountedWorkspace members[3];
  CountedWorkspace& leader = members[0];
  leader.team = &helped.team();
  for (CountedWorkspace& member : members) leader.members.push_back(&member);
  int parts = 0;
  while (members[1].parts == 0 || members[2].parts == 0) {
    Share(leader, {.rows = 12},
          [](const ExtentPart&, CountedWorkspace& member) { ++member.parts; });
    parts += 3;
  }
  EXPECT_EQ(members[0].parts + members[1].parts + members[2].parts, parts);
}

class NoObserver : public Observer {
  void OnEmbedding(EmbeddingStep, const float*) override {}
  void BeginLayer(int) override {}
  void OnAttention(int, const kernels::AttentionArgs&) override {}
  void OnAttentionOutput(int, int, const float*) override {}
  void OnLayerOutput(const float*) override {}
};

TEST(ShareTest, WithoutHelpersOrWithAnObserverItIsOnePart) {
  CountedWorkspace workspace;
  const auto share = [&] {
    Share(workspace, {.rows = 12, .columns = 5},
          [](const ExtentPart& part, CountedWorkspace& member) {
            ++member.parts;
            EXPECT_EQ(part.rows, 12);
            EXPECT_EQ(part.columns, 5);
          });
  };
  share();
  const auto owner = std::make_unique<Team>(/*member=*/0);  // see HelpedTeam::team_
  Team& team = *owner;
  team.Open(1);
  workspace.team = &team;
  share();
  team.Open(2);
  NoObserver observer;
  workspace.observer = &observer;
  share();
  EXPECT_EQ(workspace.parts, 3);
}

}  // namespace
}  // namespace contexture::nn
