// From token sequences to replays: cuts them into decode and prefill entries and keeps track of the KV cache.
//
// Results do not depend on how tokens are cut (templates/README.md), so the cut is chosen for speed only: an
// exact decode entry if there is one, otherwise prefill chunks, with the head run for the rows whose logits are
// wanted.
#include "runtime/executor/session_impl.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <cstring>

namespace ktrt {

int Session::Impl::decodeEntry(uint32_t count) const {
  auto found = std::lower_bound(decodeSizes.begin(), decodeSizes.end(), count);
  if (found == decodeSizes.end() || *found != count)
    return -1;
  return int(decodeEntries[size_t(found - decodeSizes.begin())]);
}

// Everything that can be wrong with a request, before anything is changed.
kt::Status Session::Impl::checkTokens(std::span<const int32_t> tokens, uint32_t nPast) const {
  if (tokens.empty())
    return failure("no tokens to evaluate");
  if (nPast > kvLength)
    return failure("cannot continue after %u positions: the cache holds %u", nPast, kvLength);
  if (nPast > contextLimit || tokens.size() > contextLimit - nPast)
    return failure("the context is full: %zu tokens after %u exceed the limit of %u", tokens.size(), nPast,
                   contextLimit);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || uint32_t(tokens[i]) >= vocab())
      return failure("token %d (number %zu) is not in the vocabulary of %u", tokens[i], i, vocab());
  return {};
}

// Replays a decode or prefill entry for these tokens and counts them into the cache.
kt::Status Session::Impl::replayTokens(uint32_t entry, std::span<const int32_t> tokens, uint32_t nPast) {
  const EntryInfo &info = entries[entry];
  memcpy(info.tokens, tokens.data(), tokens.size_bytes());
  for (size_t i = 0; i < tokens.size(); ++i)
    info.positions[i] = int32_t(nPast + i);
  kvLength = nPast; // rows from here on are being overwritten
  if (kt::Status status = replay(entry, KtStep{uint32_t(tokens.size()), nPast, 0, 0}); !status)
    return status;
  kvLength = nPast + uint32_t(tokens.size());
  return {};
}

kt::Result<const float *> Session::Impl::hostLogits(uint32_t entry, uint32_t firstRow, uint32_t rows) {
  const EntryInfo &info = entries[entry];
  const float *first = info.logits + uint64_t(firstRow) * vocab();
  if (!info.logitGpu)
    return first;
  const uint64_t bytes = uint64_t(rows) * vocab() * sizeof(float);
  if (kt::Status status = info.logitGpu->copyToHost(hostRows.data(), first, bytes); !status)
    return failure("%s: the logits cannot be copied to the host: %s", file.path().c_str(),
                   status.error().message.c_str());
  return reinterpret_cast<const float *>(hostRows.data());
}

kt::Result<const float *> Session::lastLogits() {
  if (!impl->hasLogits)
    return failure("there are no logits: nothing was evaluated");
  return impl->hostLogits(impl->logitEntry, impl->logitRow, 1);
}

BestLogits Session::lastBest() const {
  const Impl::EntryInfo &entry = impl->entries[impl->logitEntry];
  if (!impl->hasLogits || entry.bestCount == 0)
    return {};
  const size_t at = size_t(impl->logitRow) * entry.bestCount;
  return {{entry.bestIds + at, entry.bestCount},
          {entry.bestLogits + at, entry.bestCount},
          entry.bestSums[impl->logitRow],
          vocab()};
}

kt::Result<const float *> Session::evaluate(std::span<const int32_t> tokens, uint32_t nPast) {
  if (kt::Status status = advance(tokens, nPast); !status)
    return status.error();
  return lastLogits();
}

kt::Status Session::advance(std::span<const int32_t> tokens, uint32_t nPast) {
  Impl &self = *impl;
  self.cancelled = false;
  if (kt::Status status = self.checkTokens(tokens, nPast); !status)
    return status;
  while (true) {
    int decode = self.decodeEntry(uint32_t(tokens.size()));
    if (decode >= 0) {
      if (kt::Status status = self.replayTokens(uint32_t(decode), tokens, nPast); !status)
        return status;
      self.setLogits(uint32_t(decode), uint32_t(tokens.size()) - 1);
      return {};
    }
    size_t chunk = std::min<size_t>(tokens.size(), prefillCapacity());
    if (kt::Status status = self.replayTokens(self.prefill, tokens.first(chunk), nPast); !status)
      return status;
    nPast += uint32_t(chunk);
    tokens = tokens.subspan(chunk);
    if (!tokens.empty())
      continue;
    if (kt::Status status = self.replay(self.head, KtStep{1, nPast, uint32_t(chunk - 1), 0}); !status)
      return status;
    self.setLogits(self.head, 0);
    return {};
  }
}

kt::Status Session::evaluateAll(std::span<const int32_t> tokens, uint32_t nPast,
                                const LogitsCallback &callback) {
  Impl &self = *impl;
  self.cancelled = false;
  if (kt::Status status = self.checkTokens(tokens, nPast); !status)
    return status;
  for (uint32_t row0 = 0; !tokens.empty();) {
    int decode = self.decodeEntry(uint32_t(tokens.size()));
    uint32_t entry = decode >= 0 ? uint32_t(decode) : self.prefill;
    uint32_t chunk = uint32_t(std::min<size_t>(tokens.size(), self.entries[entry].capacity));
    if (kt::Status status = self.replayTokens(entry, tokens.first(chunk), nPast); !status)
      return status;
    nPast += chunk;
    tokens = tokens.subspan(chunk);
    if (decode >= 0) {
      kt::Result<const float *> logits = self.hostLogits(entry, 0, chunk);
      if (!logits)
        return logits.error();
      callback(row0, chunk, *logits);
      return {};
    }
    const Impl::EntryInfo &head = self.entries[self.head];
    for (uint32_t done = 0; done < chunk;) {
      uint32_t rows = std::min(chunk - done, head.capacity);
      if (kt::Status status = self.replay(self.head, KtStep{rows, nPast, done, 0}); !status)
        return status;
      kt::Result<const float *> logits = self.hostLogits(self.head, 0, rows);
      if (!logits)
        return logits.error();
      if (!callback(row0 + done, rows, *logits))
        return {};
      done += rows;
    }
    row0 += chunk;
  }
  return {};
}

uint32_t Session::kvLength() const { return impl->kvLength; }
void Session::kvTruncate(uint32_t n) { impl->kvLength = std::min(impl->kvLength, n); }

} // namespace ktrt
