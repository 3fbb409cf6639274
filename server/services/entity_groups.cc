#include "server/services/entity_groups.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace contexture {
namespace {

size_t Best(absl::Span<const float> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

Entity FromToken(const LabelledToken& token, absl::Span<const std::string> labels) {
  const size_t best = Best(token.scores);
  return {.label = labels[best],
          .score = token.scores[best],
          .begin = token.begin,
          .end = token.end,
          .token_begin = token.index,
          .token_end = token.index + 1};
}

// The scores of a word.
std::vector<float> WordScores(absl::Span<const LabelledToken> word, EntityAggregation aggregation) {
  const auto copy = [](absl::Span<const float> scores) {
    return std::vector<float>(scores.begin(), scores.end());
  };
  if (aggregation == EntityAggregation::kFirst) return copy(word[0].scores);
  if (aggregation == EntityAggregation::kMax) {
    const auto highest = [](const LabelledToken& token) {
      return token.scores[Best(token.scores)];
    };
    return copy(std::max_element(word.begin(), word.end(),
                                 [&](const LabelledToken& a, const LabelledToken& b) {
                                   return highest(a) < highest(b);
                                 })
                    ->scores);
  }
  std::vector<float> mean(word[0].scores.size());
  for (const LabelledToken& token : word) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += token.scores[i];
  }
  for (float& score : mean) score /= static_cast<float>(word.size());
  return mean;
}

Entity FromWord(absl::Span<const LabelledToken> word, absl::Span<const std::string> labels,
                EntityAggregation aggregation) {
  const std::vector<float> scores = WordScores(word, aggregation);
  LabelledToken whole = word[0];
  whole.end = word.back().end;
  whole.scores = scores;
  Entity entity = FromToken(whole, labels);
  entity.token_end = word.back().index + 1;
  return entity;
}

std::vector<Entity> FromWords(absl::Span<const LabelledToken> tokens,
                              absl::Span<const std::string> labels, EntityAggregation aggregation) {
  std::vector<Entity> entities;
  for (size_t first = 0; first < tokens.size();) {
    size_t last = first + 1;
    while (last < tokens.size() && tokens[last].continues_word) ++last;
    entities.push_back(FromWord(tokens.subspan(first, last - first), labels, aggregation));
    first = last;
  }
  return entities;
}

bool Begins(absl::string_view label) { return absl::StartsWith(label, "B-"); }
absl::string_view Tag(absl::string_view label) {
  return Begins(label) ? absl::StripPrefix(label, "B-") : absl::StripPrefix(label, "I-");
}

Entity Group(absl::Span<const Entity> members) {
  Entity group = members[0];
  // All before the first hyphen goes, whatever it is.
  const size_t hyphen = group.label.find('-');
  if (hyphen != std::string::npos) group.label = group.label.substr(hyphen + 1);
  double sum = 0;
  for (const Entity& member : members) sum += member.score;
  group.score = static_cast<float>(sum / static_cast<double>(members.size()));
  group.end = members.back().end;
  group.token_end = members.back().token_end;
  return group;
}

std::vector<Entity> Grouped(absl::Span<const Entity> entities) {
  std::vector<Entity> groups;
  for (size_t first = 0; first < entities.size();) {
    size_t last = first + 1;
    while (last < entities.size() && Tag(entities[last].label) == Tag(entities[last - 1].label) &&
           !Begins(entities[last].label)) {
      ++last;
    }
    groups.push_back(Group(entities.subspan(first, last - first)));
    first = last;
  }
  return groups;
}

size_t Characters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

std::vector<Entity> AggregateEntities(absl::Span<const LabelledToken> tokens,
                                      absl::Span<const std::string> labels,
                                      EntityAggregation aggregation) {
  std::vector<Entity> entities;
  if (aggregation == EntityAggregation::kNone || aggregation == EntityAggregation::kSimple) {
    for (const LabelledToken& token : tokens) entities.push_back(FromToken(token, labels));
  } else {
    entities = FromWords(tokens, labels, aggregation);
  }
  return aggregation == EntityAggregation::kNone ? entities : Grouped(entities);
}

bool ContinuesWord(absl::string_view text, uint32_t begin, uint32_t end, absl::string_view spelling,
                   bool has_prefix) {
  if (has_prefix) return Characters(spelling) != Characters(text.substr(begin, end - begin));
  if (begin == 0) return false;
  const bool after_space = text[begin - 1] == ' ';
  const bool at_space = begin < text.size() && text[begin] == ' ';
  return !after_space && !at_space;
}

}  // namespace contexture
