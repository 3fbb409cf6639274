#include "server/metrics/exposer.h"

#include <exception>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "prometheus/exposer.h"
#include "server/metrics/loopback.h"

namespace contexture {
namespace {

// A connection that sends half a request holds a thread until the timeout. With the library's 2
// threads and no timeout three such connections stop every scrape; with these a scrape waits for
// about 1.5 s for every 8 of them.
constexpr char kNumThreads[] = "8";
constexpr char kRequestTimeoutMilliseconds[] = "1500";

// Between two connections that ask the listening thread to look whether it is to stop.
constexpr absl::Duration kTouchInterval = absl::Milliseconds(5);

// What stands before the last colon; nothing in an address that is only a port.
absl::string_view HostOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  return colon == absl::string_view::npos ? absl::string_view() : address.substr(0, colon);
}

// The library would take more than one address, and letters with a meaning after the port.
absl::Status CheckAddress(absl::string_view address) {
  constexpr int kLargestPort = 65535;
  const absl::string_view host = HostOf(address);
  const bool has_host = absl::StrContains(address, ':');
  const absl::string_view port = has_host ? address.substr(host.size() + 1) : address;
  const bool bracketed = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  int number = -1;
  const bool port_ok = port.find_first_not_of("0123456789") == absl::string_view::npos &&
                       absl::SimpleAtoi(port, &number) && number <= kLargestPort;
  const bool host_ok = has_host != host.empty() && !absl::StrContains(host, ',') &&
                       (bracketed || !absl::StrContains(host, ':'));
  if (port_ok && host_ok) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("metrics address '", address,
                   "' is not HOST:PORT, [IPV6]:PORT or PORT with a port of 0 to ", kLargestPort));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Start(const std::string& address,
                                                                      Sources sources) {
  CTX_RETURN_IF_ERROR(CheckAddress(address));
  const std::vector<std::string> options = {"listening_ports",    address,
                                            "num_threads",        kNumThreads,
                                            "request_timeout_ms", kRequestTimeoutMilliseconds};
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(options);
    for (const auto& source : sources) exposer->RegisterCollectable(source);
    return std::unique_ptr<MetricsExposer>(
        new MetricsExposer(std::string(HostOf(address)), std::move(sources), std::move(exposer)));
  } catch (const std::exception&) {  // its text does not say which address or why
    return absl::UnavailableError(
        absl::StrCat("cannot listen on metrics address ", address,
                     ": it is in use, not one of this machine, or needs privileges"));
  }
}

MetricsExposer::MetricsExposer(std::string host, Sources sources,
                               std::unique_ptr<prometheus::Exposer> exposer)
    : host_(std::move(host)),
      sources_(std::move(sources)),
      exposer_(std::move(exposer)),
      port_(exposer_->GetListeningPorts().at(0)) {}

// The library's listening thread sees that it is to stop when a connection comes, or else every 2
// s, which is long for a server that is told to exit. So connections come.
MetricsExposer::~MetricsExposer() {
  absl::Notification closed;
  std::thread toucher([this, &closed] {
    while (!closed.WaitForNotificationWithTimeout(kTouchInterval)) TouchListener(host_, port_);
  });
  exposer_.reset();
  closed.Notify();
  toucher.join();
}

}  // namespace contexture
