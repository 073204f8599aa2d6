// See pinned_loads.h.
#include "pinned_loads.h"

#include <llvm/CodeGen/MachineFunction.h>
#include <llvm/CodeGen/MachineFunctionPass.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/PseudoSourceValue.h>

using namespace llvm;

namespace
{

// No target has a use for the third of its flags.
const auto PIN = MachineMemOperand::MOVolatile | MachineMemOperand::MOTargetFlag3;

// What is read is neither the frame nor a constant.
bool readsMemory(const MachineInstr &i)
{
    return i.mayLoad() && !i.mayStore() && !i.isCall() && !i.hasOrderedMemoryRef() &&
           all_of(i.memoperands(), [](const MachineMemOperand *m) {
               return !m->getPseudoValue() && !m->isInvariant();
           });
}

bool isPinned(const MachineInstr &i)
{
    return any_of(i.memoperands(),
                  [](const MachineMemOperand *m) { return (m->getFlags() & PIN) == PIN; });
}

class Pin : public MachineFunctionPass
{
    bool pin;

  public:
    static char ID;

    explicit Pin(bool p) : MachineFunctionPass(ID), pin(p)
    {
    }

    bool runOnMachineFunction(MachineFunction &fn) override
    {
        bool changed = false;
        for (MachineBasicBlock &bb : fn)
            for (MachineInstr &i : bb)
                if (pin ? readsMemory(i) : isPinned(i)) {
                    set(fn, i);
                    changed = true;
                }
        return changed;
    }

    void getAnalysisUsage(AnalysisUsage &usage) const override
    {
        usage.setPreservesAll();
        MachineFunctionPass::getAnalysisUsage(usage);
    }

  private:
    void set(MachineFunction &fn, MachineInstr &i) const
    {
        SmallVector<MachineMemOperand *, 2> operands;
        for (const MachineMemOperand *m : i.memoperands())
            operands.push_back(
                fn.getMachineMemOperand(m, pin ? m->getFlags() | PIN : m->getFlags() & ~PIN));
        i.setMemRefs(fn, operands);
    }
};

char Pin::ID;

} // namespace

void pinned_loads_add(TargetPassConfig &config)
{
    config.insertPass(&MachineCSEID, new Pin(true));
    config.insertPass(&MachineSinkingID, new Pin(false));
}
