#include <iomanip>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/inputs.h"
#include "client/cli/json.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kHeadingCharacters = 70;

class TokenizeCommand : public Command {
 public:
  std::string name() const override { return "tokenize"; }
  std::string description() const override { return "The tokens of texts, with byte offsets"; }

  void AddOptions(CLI::App& app) override {
    AddTextOptions(app, source_);
    app.add_option("--model", model_, "name of the model (default: the server's default)");
    app.add_flag("--no-special-tokens", no_special_tokens_, "without [CLS], [SEP] and their like");
    app.add_option("--output", output_, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  }

  ExitCode Run(const Session& session) override {
    const absl::StatusOr<std::vector<std::string>> texts = ReadTexts(source_, session.terminal);
    if (!texts.ok()) return session.UserMistake(texts.status().message());
    v1::TokenizeRequest request;
    request.set_model(model_);
    request.set_add_special_tokens(!no_special_tokens_);
    for (const std::string& text : *texts) request.add_texts(text);
    const absl::StatusOr<v1::TokenizeResponse> response = session.client.Tokenize(request);
    if (!response.ok()) return session.ServerError(response.status());
    if (output_ == "json") {
      PrintJson(*response, session.terminal.out);
    } else {
      PrintText(*texts, *response, session.terminal.out);
    }
    return ExitCode::kOk;
  }

 private:
  static void PrintJson(const v1::TokenizeResponse& response, std::ostream& out) {
    Json results = Json::array();
    for (const v1::Tokens& tokens : response.tokens()) {
      Json list = Json::array();
      for (const v1::Token& token : tokens.tokens()) {
        list.push_back({{"id", token.id()},
                        {"text", token.text()},
                        {"begin", token.begin()},
                        {"end", token.end()},
                        {"special", token.special()}});
      }
      results.push_back({{"tokens", std::move(list)}});
    }
    out << Json{{"results", std::move(results)}}.dump() << "\n";
  }

  static void PrintText(const std::vector<std::string>& texts, const v1::TokenizeResponse& response,
                        std::ostream& out) {
    for (int i = 0; i < response.tokens_size() && i < static_cast<int>(texts.size()); ++i) {
      out << OneLine(texts[i], kHeadingCharacters) << "\n";
      for (const v1::Token& token : response.tokens(i).tokens()) {
        out << std::setw(8) << token.id() << "  " << token.text();
        if (!token.special()) out << "  [" << token.begin() << ", " << token.end() << ")";
        out << "\n";
      }
    }
  }

  InputSource source_;
  std::string model_;
  std::string output_ = "text";
  bool no_special_tokens_ = false;
};

}  // namespace

std::unique_ptr<Command> NewTokenizeCommand() { return std::make_unique<TokenizeCommand>(); }

}  // namespace contexture::cli
