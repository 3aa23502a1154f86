// Checks of entries: their buffers, every operand of every command, and that no lane waits for ever.
#include "runtime/abi/kt_abi.h"
#include "runtime/abi/kt_cuda.h"
#include "runtime/plan/verifier_detail.h"

#include <vector>

namespace ktrt::plan {

static constexpr uint32_t kMaxCapacity = 1u << 20; // tokens of one replay
static constexpr uint32_t kMaxOperands = 64;
static constexpr uint32_t kMaxSignals = 1u << 20;

bool VerifierState::checkEntries() {
  uint32_t count = sizeOf(plan.entries());
  bool decode = false, prefill = false, head = false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!named(plan.entries()->Get(i)->name(), "entries", i))
      return false;
    std::string_view name = plan.entries()->Get(i)->name()->string_view();
    for (uint32_t j = 0; j < i; ++j)
      if (plan.entries()->Get(j)->name()->string_view() == name)
        return fail("entries[%u]: a second entry named '%s'", i, name.data());
    if (!checkEntry(i))
      return false;
    decode |= name.substr(0, 7) == "decode_";
    prefill |= name == "prefill";
    head |= name == "head";
  }
  if (!decode || !prefill || !head)
    return fail("entries: no entry named '%s'", !decode ? "decode_<tokens>" : !prefill ? "prefill" : "head");
  return true;
}

bool VerifierState::checkEntry(uint32_t index) {
  const Entry &entry = *plan.entries()->Get(index);
  if (entry.capacity() == 0 || entry.capacity() > kMaxCapacity)
    return fail("entries[%u].capacity is %u, expected 1 to %u", index, entry.capacity(), kMaxCapacity);
  if (entry.parts() == 0 || entry.parts() > uint32_t(KT_MAX_PARTS) || entry.capacity() % entry.parts() != 0 ||
      (entry.parts() > 1 && !entry.dynamic()))
    return fail(
        "entries[%u].parts is %u, expected 1, or up to %d that divide the capacity %u of a dynamic entry",
        index, entry.parts(), KT_MAX_PARTS, entry.capacity());
  if (entry.signals() > kMaxSignals)
    return fail("entries[%u].signals is %u, expected at most %u", index, entry.signals(), kMaxSignals);
  if (!checkEntryKind(index))
    return false;
  if (sizeOf(entry.programs()) == 0)
    return fail("entries[%u] ('%s') has no programs", index, entry.name()->c_str());
  for (uint32_t i = 0; i < entry.programs()->size(); ++i)
    if (!checkProgram(index, i))
      return false;
  return checkSignals(index);
}

// The three kinds of entries differ in shape and in the buffers that their caller sees.
bool VerifierState::checkEntryKind(uint32_t index) {
  const Entry &entry = *plan.entries()->Get(index);
  std::string_view name = entry.name()->string_view();
  bool decode = name.substr(0, 7) == "decode_";
  if (!decode && name != "prefill" && name != "head")
    return fail("entries[%u] has the unknown name '%s'", index, name.data());
  if (decode && name.substr(7) != std::to_string(entry.capacity()))
    return fail("entries[%u] ('%s') has capacity %u", index, name.data(), entry.capacity());
  if (entry.dynamic() == decode)
    return fail("entries[%u] ('%s') must %sbe dynamic", index, name.data(), decode ? "not " : "");
  const bool input = name != "head", output = name != "prefill", best = output && entry.best_count() != 0;
  const uint64_t vocab = plan.model()->vocab(), count = entry.best_count();
  if (count > vocab)
    return fail("entries[%u].best_count is %u, expected at most the %u of the vocabulary", index,
                entry.best_count(), plan.model()->vocab());
  return checkEntryBuffer(index, "tokens", entry.tokens(), input, 4) &&
         checkEntryBuffer(index, "positions", entry.positions(), input, 4) &&
         checkEntryBuffer(index, "logits", entry.logits(), output, 4 * vocab, true) &&
         checkEntryBuffer(index, "best_ids", entry.best_ids(), best, 4 * count) &&
         checkEntryBuffer(index, "best_logits", entry.best_logits(), best, 4 * count) &&
         checkEntryBuffer(index, "best_sums", entry.best_sums(), best, 4);
}

bool VerifierState::checkEntryBuffer(uint32_t index, const char *name, const Operand *operand, bool wanted,
                                     uint64_t bytesPerToken, bool anywhere) {
  bool present = operand && operand->kind() != OperandKind::None;
  std::string where = formatText("entries[%u].%s", index, name);
  if (present != wanted)
    return fail("%s %s", where.c_str(), wanted ? "is missing" : "must be absent");
  if (!wanted)
    return true;
  if (operand->offset() % 4 != 0)
    return fail("%s: offset %" PRIu64 " is no multiple of 4", where.c_str(), operand->offset());
  const Entry &entry = *plan.entries()->Get(index);
  uint64_t limit;
  uint32_t device;
  return checkTransfer(where, entry.capacity(), operand, 0, bytesPerToken, true) &&
         operandLimit(where, *operand, limit, device) &&
         (anywhere || plan.devices()->Get(device)->kind() == DeviceKind::Cpu ||
          fail("%s is not in the memory of a CPU device", where.c_str()));
}

// Size and device of what an operand points into. The operand is not None.
bool VerifierState::operandLimit(const std::string &where, const Operand &operand, uint64_t &limit,
                                 uint32_t &device) {
  if (operand.kind() == OperandKind::Arena) {
    if (!inRange(where + ".index (arena)", operand.index(), sizeOf(plan.arenas())))
      return false;
    limit = plan.arenas()->Get(operand.index())->bytes();
    device = plan.arenas()->Get(operand.index())->device();
    return true;
  }
  if (operand.kind() == OperandKind::Weight) {
    if (!inRange(where + ".index (weight)", operand.index(), sizeOf(plan.weights())))
      return false;
    limit = plan.weights()->Get(operand.index())->bytes();
    device = plan.weights()->Get(operand.index())->device();
    return true;
  }
  return fail("%s.kind is %u, which is unknown", where.c_str(), unsigned(operand.kind()));
}

// A byte range whose length is known: bytes + bytesPerToken * tokens from the operand on.
bool VerifierState::checkTransfer(const std::string &where, uint32_t tokens, const Operand *operand,
                                  uint64_t bytes, uint64_t bytesPerToken, bool written) {
  if (!operand || operand->kind() == OperandKind::None)
    return fail("%s is missing", where.c_str());
  if (written && operand->kind() == OperandKind::Weight)
    return fail("%s: weights cannot be written", where.c_str());
  uint64_t limit, total;
  uint32_t device;
  if (!operandLimit(where, *operand, limit, device))
    return false;
  if (__builtin_mul_overflow(bytesPerToken, uint64_t(tokens), &total) ||
      __builtin_add_overflow(total, bytes, &total))
    return fail("%s: the number of bytes overflows", where.c_str());
  return rangeFits(where, operand->offset(), total, limit);
}

// A byte range that a command of `lane` touches.
bool VerifierState::checkLaneTransfer(const std::string &where, const Entry &entry, const Lane &lane,
                                      const Operand *operand, uint64_t bytes, uint64_t bytesPerToken,
                                      bool written) {
  return checkTransfer(where, partCapacity(entry), operand, bytes, bytesPerToken, written) &&
         checkReach(where, lane, *operand);
}

bool VerifierState::checkProgram(uint32_t entryIndex, uint32_t programIndex) {
  const Entry &entry = *plan.entries()->Get(entryIndex);
  const LaneProgram &program = *entry.programs()->Get(programIndex);
  std::string where = formatText("entries[%u].programs[%u]", entryIndex, programIndex);
  if (!inRange(where + ".lane", program.lane(), plan.lanes()->size()))
    return false;
  for (uint32_t i = 0; i < programIndex; ++i)
    if (entry.programs()->Get(i)->lane() == program.lane())
      return fail("%s: a second program for lane %u", where.c_str(), program.lane());
  const Lane &lane = *plan.lanes()->Get(program.lane());
  for (uint32_t i = 0; i < sizeOf(program.commands()); ++i)
    if (std::string place = where + formatText(".commands[%u]", i);
        !checkCommand(place, entry, lane, *program.commands()->Get(i)) ||
        !checkAfter(place, lane, *program.commands()->Get(i), i))
      return false;
  return true;
}

bool VerifierState::checkCommand(const std::string &where, const Entry &entry, const Lane &lane,
                                 const Command &command) {
  if (!command.body())
    return fail("%s has no body", where.c_str());
  if (!inRange(where + ".part", command.part(), entry.parts()))
    return false;
  switch (command.body_type()) {
  case CommandBody::Dispatch:
    return checkDispatch(where, entry, lane, *command.body_as_Dispatch());
  case CommandBody::Copy: {
    const Copy &copy = *command.body_as_Copy();
    return checkLaneTransfer(where + ".source", entry, lane, copy.source(), copy.bytes(),
                             copy.bytes_per_token(), false) &&
           checkLaneTransfer(where + ".destination", entry, lane, copy.destination(), copy.bytes(),
                             copy.bytes_per_token(), true);
  }
  case CommandBody::Fill: {
    const Fill &fill = *command.body_as_Fill();
    return checkLaneTransfer(where + ".destination", entry, lane, fill.destination(), fill.bytes(),
                             fill.bytes_per_token(), true);
  }
  case CommandBody::Signal:
    return inRange(where + ".signal", command.body_as_Signal()->signal(), entry.signals());
  case CommandBody::Wait:
    return inRange(where + ".signal", command.body_as_Wait()->signal(), entry.signals());
  default:
    return fail("%s is of the unknown kind %u", where.c_str(), unsigned(command.body_type()));
  }
}

bool VerifierState::checkDispatch(const std::string &where, const Entry &entry, const Lane &lane,
                                  const Dispatch &dispatch) {
  if (!inRange(where + ".kernel", dispatch.kernel(), sizeOf(plan.kernels())))
    return false;
  if (!checkKernelRuns(where, lane, dispatch))
    return false;
  uint32_t operands = sizeOf(dispatch.operands());
  uint32_t most = lane.kind() == LaneKind::CudaStream ? KT_CUDA_MAX_OPERANDS : kMaxOperands;
  if (operands > most)
    return fail("%s has %u operands, expected at most %u", where.c_str(), operands, most);
  // flatbuffers checks where a vector begins, but not that its structs are aligned.
  if (operands != 0 && reinterpret_cast<uintptr_t>(dispatch.operands()->Data()) % alignof(Operand) != 0)
    return fail("%s: its operands are misaligned", where.c_str());
  for (uint32_t i = 0; i < operands; ++i) {
    const Operand &operand = *dispatch.operands()->Get(i);
    if (operand.kind() == OperandKind::None)
      continue;
    std::string place = where + formatText(".operands[%u]", i);
    uint64_t limit;
    uint32_t device;
    if (!operandLimit(place, operand, limit, device))
      return false;
    if (operand.offset() >= limit)
      return fail("%s: offset %" PRIu64 " is outside its %" PRIu64 " bytes", place.c_str(), operand.offset(),
                  limit);
    if (!checkReach(place, lane, operand))
      return false;
  }
  if (!checkStreams(where, dispatch) || !checkHint(where, entry, lane, dispatch))
    return false;
  uint64_t units = dispatch.units() + uint64_t(dispatch.units_per_token()) * partCapacity(entry);
  if (units > UINT32_MAX)
    return fail("%s: %" PRIu64 " units, expected at most %u", where.c_str(), units, UINT32_MAX);
  return true;
}

bool VerifierState::checkStreams(const std::string &where, const Dispatch &dispatch) {
  for (uint32_t i = 0; i < sizeOf(dispatch.streams()); ++i) {
    uint32_t operand = dispatch.streams()->Get(i)->operand();
    std::string place = where + formatText(".streams[%u].operand", i);
    if (!inRange(place, operand, sizeOf(dispatch.operands())))
      return false;
    if (dispatch.operands()->Get(operand)->kind() != OperandKind::Weight)
      return fail("%s: operand %u is no weight", place.c_str(), operand);
  }
  return true;
}

// A hint is memory that the lane reads: ids, and the lists of what was chosen. The rows of all experts lie in
// the weights.
bool VerifierState::checkHint(const std::string &where, const Entry &entry, const Lane &lane,
                              const Dispatch &dispatch) {
  const Hint *hint = dispatch.hint();
  if (!hint)
    return true;
  const std::string place = where + ".hint";
  if (lane.kind() != LaneKind::CpuTeam)
    return fail("%s: lane '%s' is no CPU team", place.c_str(), textOf(lane.name()));
  if (hint->choices() == 0 || hint->choices() > hint->experts())
    return fail("%s: %u of %u experts", place.c_str(), hint->choices(), hint->experts());
  if (!inRange(place + ".lists", hint->lists(), sizeOf(dispatch.operands())))
    return false;
  const Operand &lists = *dispatch.operands()->Get(hint->lists());
  const struct {
    const char *name;
    const Operand *operand;
    uint64_t bytes;
  } ranges[] = {{".ids", hint->ids(), 4 * uint64_t(hint->choices())},
                {".lists", &lists, 4 * (uint64_t(ktExpertListIds()) + hint->experts())}};
  for (const auto &[name, operand, bytes] : ranges) {
    if (!checkTransfer(place + name, partCapacity(entry), operand, bytes, 0, true) ||
        !checkReach(place + name, lane, *operand))
      return false;
    if (operand->offset() % 4 != 0)
      return fail("%s%s: offset %" PRIu64 " is no multiple of 4", place.c_str(), name, operand->offset());
  }
  for (uint32_t i = 0; i < sizeOf(dispatch.streams()); ++i) {
    const Stream &stream = *dispatch.streams()->Get(i);
    const Operand &operand = *dispatch.operands()->Get(stream.operand());
    uint64_t before, own, limit;
    uint32_t device;
    const std::string rows = where + formatText(".streams[%u]", i);
    if (!operandLimit(rows, operand, limit, device))
      return false;
    if (__builtin_mul_overflow(stream.expert_bytes(), uint64_t(hint->experts() - 1), &before) ||
        __builtin_mul_overflow(stream.unit_bytes(), uint64_t(dispatch.units()), &own) ||
        __builtin_add_overflow(before, own, &before))
      return fail("%s: the number of bytes overflows", rows.c_str());
    if (!rangeFits(rows, operand.offset(), before, limit))
      return false;
  }
  return true;
}

// Replays the order of signals and waits: each signal is raised at most once, and running every lane as far as
// it gets must bring all of them to their end.
bool VerifierState::checkSignals(uint32_t index) {
  const Entry &entry = *plan.entries()->Get(index);
  std::vector<bool> raised(entry.signals());
  std::vector<uint32_t> next(entry.programs()->size());
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t p = 0; p < next.size(); ++p) {
      const LaneProgram &program = *entry.programs()->Get(p);
      for (; next[p] < sizeOf(program.commands()); ++next[p]) {
        const Command &command = *program.commands()->Get(next[p]);
        if (const Wait *wait = command.body_as_Wait(); wait && !raised[wait->signal()])
          break;
        moved = true;
        const Signal *signal = command.body_as_Signal();
        if (!signal)
          continue;
        if (raised[signal->signal()])
          return fail("entries[%u].programs[%u].commands[%u]: signal %u is raised a second time", index, p,
                      next[p], signal->signal());
        raised[signal->signal()] = true;
      }
    }
  }
  for (uint32_t p = 0; p < next.size(); ++p)
    if (next[p] < sizeOf(entry.programs()->Get(p)->commands()))
      return fail("entries[%u].programs[%u].commands[%u] waits for signal %u, which is never raised before",
                  index, p, next[p],
                  entry.programs()->Get(p)->commands()->Get(next[p])->body_as_Wait()->signal());
  return true;
}

} // namespace ktrt::plan
