// Turns lane programs of the plan into flat lists of addresses; see cpu_lane.h.
#include "runtime/executor/cpu_lane.h"

namespace ktrt {

static void resolveDispatch(const plan::Dispatch &dispatch, const KernelSet &kernels,
                            const AddressSpace &addresses, ResolvedProgram &program, ResolvedCommand &command) {
  command.kind = ResolvedCommand::Kind::Dispatch;
  command.function = kernels.function(dispatch.kernel());
  command.units = dispatch.units();
  command.unitsPerToken = dispatch.units_per_token();
  command.index = uint32_t(program.operands.size());
  if (dispatch.operands())
    for (const plan::Operand *operand : *dispatch.operands())
      program.operands.push_back(addresses.resolve(operand));
  if (!dispatch.streams() || dispatch.streams()->size() == 0)
    return;
  // Only entries for an exact number of tokens have streams, and their matrices a fixed number of units.
  StreamTarget &target = program.ahead.back();
  target.first = uint32_t(program.streams.size());
  target.count = dispatch.streams()->size();
  target.units = dispatch.units();
  for (const plan::Stream *stream : *dispatch.streams())
    program.streams.push_back(
        {static_cast<const uint8_t *>(program.operands[command.index + stream->operand()]),
         stream->unit_bytes(), stream->expert_bytes()});
  if (const plan::Hint *hint = dispatch.hint()) {
    target.choices = hint->choices();
    target.experts = hint->experts();
    target.ids = static_cast<const int32_t *>(addresses.resolve(hint->ids()));
    target.lists = static_cast<const int32_t *>(program.operands[command.index + hint->lists()]);
  }
}

static ResolvedCommand resolveCommand(const plan::Command &source, const KernelSet &kernels,
                                      const AddressSpace &addresses, ResolvedProgram &program) {
  ResolvedCommand command{};
  command.barrierBefore = source.barrier_before();
  command.part = uint8_t(source.part());
  if (const plan::Dispatch *dispatch = source.body_as_Dispatch()) {
    resolveDispatch(*dispatch, kernels, addresses, program, command);
  } else if (const plan::Copy *copy = source.body_as_Copy()) {
    command.kind = ResolvedCommand::Kind::Copy;
    command.source = static_cast<const uint8_t *>(addresses.resolve(copy->source()));
    command.destination = static_cast<uint8_t *>(addresses.resolve(copy->destination()));
    command.bytes = copy->bytes();
    command.bytesPerToken = copy->bytes_per_token();
  } else if (const plan::Fill *fill = source.body_as_Fill()) {
    command.kind = ResolvedCommand::Kind::Fill;
    command.destination = static_cast<uint8_t *>(addresses.resolve(fill->destination()));
    command.bytes = fill->bytes();
    command.bytesPerToken = fill->bytes_per_token();
    command.value = fill->value();
  } else if (const plan::Signal *signal = source.body_as_Signal()) {
    command.kind = ResolvedCommand::Kind::Signal;
    command.index = signal->signal();
  } else if (const plan::Wait *wait = source.body_as_Wait()) {
    command.kind = ResolvedCommand::Kind::Wait;
    command.index = wait->signal();
  }
  return command;
}

ResolvedProgram resolveProgram(const plan::LaneProgram &source, const KernelSet &kernels,
                               const AddressSpace &addresses) {
  ResolvedProgram program;
  if (!source.commands())
    return program;
  program.commands.reserve(source.commands()->size());
  for (const plan::Command *command : *source.commands()) {
    program.ahead.emplace_back();
    program.commands.push_back(resolveCommand(*command, kernels, addresses, program));
  }
  // What is hinted is much, so it is read ahead only where no other dispatch comes between.
  for (size_t i = program.ahead.size(); i-- > 1;)
    if (program.ahead[i - 1].count == 0 &&
        (!program.ahead[i].ids || program.commands[i - 1].kind != ResolvedCommand::Kind::Dispatch))
      program.ahead[i - 1] = program.ahead[i];
  return program;
}

} // namespace ktrt
