// See early_exits.h.
#include "early_exits.h"

#include <vector>

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/CodeGen/MachineDominators.h>
#include <llvm/CodeGen/MachineFrameInfo.h>
#include <llvm/CodeGen/MachineFunctionPass.h>
#include <llvm/CodeGen/MachineLoopInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetFrameLowering.h>
#include <llvm/CodeGen/TargetInstrInfo.h>
#include <llvm/CodeGen/TargetLowering.h>
#include <llvm/CodeGen/TargetSubtargetInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>
#include <llvm/TargetParser/Triple.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/LoopUtils.h>

using namespace llvm;

namespace
{

const uint64_t FRAME_MAX = 2048; // bytes of a frame that is made in the midst of a function
const size_t SHARED_MAX = 12; // instructions behind both kinds of ways, of which there will be two

// Copies are instructions of x86, and other machines choose the registers to save in another way.
bool is_x86(const Function &fn)
{
    return Triple(fn.getParent()->getTargetTriple()).isX86();
}

bool needs_frame(const Instruction &i)
{
    const auto *call = dyn_cast<CallBase>(&i);
    if (!call || call->isInlineAsm())
        return isa<AllocaInst>(i);
    return !isa<IntrinsicInst>(call) || isa<MemIntrinsic>(call);
}

class Splitter
{
    Function &fn;
    LoopInfo &loops;
    DominatorTree &dom;
    BasicBlock *start = nullptr; // of the ways that need a frame
    std::vector<BasicBlock *> shared;

  public:
    Splitter(Function &f, FunctionAnalysisManager &am)
        : fn(f), loops(am.getResult<LoopAnalysis>(f)), dom(am.getResult<DominatorTreeAnalysis>(f))
    {
    }

    bool run();

  private:
    bool find_start();
    bool is_inside(const BasicBlock *bb) const
    {
        return dom.dominates(start, bb);
    }
    bool find_shared();
    void split();
    void join(const std::vector<BasicBlock *> &returns);
    bool is_use_inside(const Use &use) const;
    void copy(Value &v);
    void copy_all();
};

// The nearest block that all calls are behind, outside of loops. False: that is the function's start, or nothing calls.
bool Splitter::find_start()
{
    for (BasicBlock &bb : fn) {
        if (!dom.isReachableFromEntry(&bb) || !any_of(bb, needs_frame))
            continue;
        start = start ? dom.findNearestCommonDominator(start, &bb) : &bb;
    }
    if (!start || start == &fn.getEntryBlock())
        return false;
    if (Loop *loop = loops.getLoopFor(start)) {
        loop = loop->getOutermostLoop();
        start = loop->getLoopPreheader();
        if (!start)
            start = InsertPreheaderForLoop(loop, &dom, &loops, nullptr, false);
    }
    return start && start != &fn.getEntryBlock();
}

// The blocks that are reached by both kinds of ways, which only lead to others of them. False: they are too many.
bool Splitter::find_shared()
{
    SmallPtrSet<BasicBlock *, 32> seen = {start};
    std::vector<BasicBlock *> todo = {start};
    size_t size = 0;
    while (!todo.empty()) {
        BasicBlock *bb = todo.back();
        todo.pop_back();
        if (!is_inside(bb)) {
            shared.push_back(bb);
            size += bb->sizeWithoutDebug();
        }
        for (BasicBlock *to : successors(bb))
            if (seen.insert(to).second)
                todo.push_back(to);
    }
    return size <= SHARED_MAX;
}

// Then those that need a frame have blocks of their own.
void Splitter::split()
{
    ValueToValueMapTy map;
    SmallPtrSet<BasicBlock *, 8> twins;
    for (BasicBlock *bb : shared) {
        BasicBlock *twin = CloneBasicBlock(bb, map, ".framed", &fn);
        map[bb] = twin;
        twins.insert(twin);
    }
    for (BasicBlock &bb : fn)
        if (is_inside(&bb))
            for (BasicBlock *to : shared)
                bb.getTerminator()->replaceSuccessorWith(to, cast<BasicBlock>(map[to]));
    for (BasicBlock *bb : shared) {
        auto *twin = cast<BasicBlock>(map[bb]);
        for (Instruction &i : *twin)
            RemapInstruction(&i, map, RF_NoModuleLevelChanges | RF_IgnoreMissingLocals);
        for (PHINode &phi : make_early_inc_range(bb->phis()))
            phi.removeIncomingValueIf(
                [&](unsigned k) { return is_inside(phi.getIncomingBlock(k)); }, false);
        for (PHINode &phi : make_early_inc_range(twin->phis()))
            phi.removeIncomingValueIf(
                [&](unsigned k) {
                    return !twins.count(phi.getIncomingBlock(k)) &&
                           !is_inside(phi.getIncomingBlock(k));
                },
                false);
    }
}

// A frame that is made at one place is undone at one place.
void Splitter::join(const std::vector<BasicBlock *> &returns)
{
    if (returns.size() < 2)
        return;
    BasicBlock *bb = BasicBlock::Create(fn.getContext(), "return", &fn);
    Type *type = fn.getReturnType();
    PHINode *value = type->isVoidTy() ? nullptr
                                      : PHINode::Create(type, (unsigned)returns.size(), "", bb);
    ReturnInst::Create(fn.getContext(), value, bb);
    for (BasicBlock *from : returns) {
        auto *old = cast<ReturnInst>(from->getTerminator());
        if (value)
            value->addIncoming(old->getReturnValue(), from);
        BranchInst::Create(bb, from)->setDebugLoc(old->getDebugLoc());
        old->eraseFromParent();
    }
}

bool Splitter::is_use_inside(const Use &use) const
{
    const auto *user = cast<Instruction>(use.getUser());
    const auto *phi = dyn_cast<PHINode>(user);
    return is_inside(phi ? phi->getIncomingBlock(use) : user->getParent());
}

// Addresses are computed anew where they are used, as parts of loads and stores: so neither sums of 64 bits nor what is
// widened to them.
bool may_be_copied(const Value &v)
{
    const Type *type = v.getType();
    return (type->isIntegerTy(32) || type->isIntegerTy(64)) && !isa<CastInst>(v) &&
           !(type->isIntegerTy(64) && isa<BinaryOperator>(v));
}

// By an instruction that the register allocator does not see through: else both were one register from the start on.
void Splitter::copy(Value &v)
{
    if (!may_be_copied(v) || !any_of(v.uses(), [&](const Use &use) { return is_use_inside(use); }))
        return;
    Type *type = v.getType();
    InlineAsm *move = InlineAsm::get(FunctionType::get(type, {type}, false),
                                     type->isIntegerTy(32) ? "movl $1, $0" : "movq $1, $0", "=r,r",
                                     false);
    CallInst *made = CallInst::Create(move, {&v}, "", start->getFirstInsertionPt());
    made->setDoesNotAccessMemory();
    made->setDoesNotThrow();
    v.replaceUsesWithIf(made,
                        [&](Use &use) { return use.getUser() != made && is_use_inside(use); });
}

void Splitter::copy_all()
{
    for (Argument &arg : fn.args())
        if (!arg.hasSwiftSelfAttr())
            copy(arg);
    std::vector<Instruction *> values;
    for (BasicBlock &bb : fn)
        if (dom.isReachableFromEntry(&bb) && !is_inside(&bb))
            for (Instruction &i : bb)
                values.push_back(&i);
    for (Instruction *i : values)
        copy(*i);
}

bool Splitter::run()
{
    if (!is_x86(fn))
        return false;
    for (BasicBlock &bb : fn)
        if (bb.getTerminatingMustTailCall())
            return false;
    if (!find_start())
        return false;
    bool any_outside = false;
    for (BasicBlock &bb : fn)
        any_outside |= isa<ReturnInst>(bb.getTerminator()) && !is_inside(&bb);
    if (!any_outside || !find_shared())
        return true;
    split();
    dom.recalculate(fn);
    std::vector<BasicBlock *> inside;
    for (BasicBlock &bb : fn)
        if (isa<ReturnInst>(bb.getTerminator()) && is_inside(&bb))
            inside.push_back(&bb);
    join(inside);
    dom.recalculate(fn);
    copy_all();
    return true;
}

// ---- machine code ----

class Frames : public MachineFunctionPass
{
    MachineFunction *fn = nullptr;
    BitVector saved; // registers that have to be

  public:
    static char ID;

    Frames() : MachineFunctionPass(ID)
    {
    }

    bool runOnMachineFunction(MachineFunction &f) override;

    void getAnalysisUsage(AnalysisUsage &usage) const override
    {
        usage.setPreservesAll();
        usage.addRequired<MachineDominatorTreeWrapperPass>();
        usage.addRequired<MachineLoopInfoWrapperPass>();
        MachineFunctionPass::getAnalysisUsage(usage);
    }

  private:
    bool is_saved(Register reg) const;
    bool has_frame(const MachineInstr &i) const;
    MachineBasicBlock *start(MachineDominatorTree &dom, MachineLoopInfo &loops) const;
    MachineBasicBlock *only_return(MachineBasicBlock *from, MachineDominatorTree &dom) const;
};

char Frames::ID;

bool Frames::is_saved(Register reg) const
{
    const TargetRegisterInfo *registers = fn->getSubtarget().getRegisterInfo();
    for (MCRegAliasIterator alias(reg.asMCReg(), registers, true); alias.isValid(); ++alias)
        if (saved.test(*alias))
            return true;
    return false;
}

bool Frames::has_frame(const MachineInstr &i) const
{
    const TargetInstrInfo *target = fn->getSubtarget().getInstrInfo();
    Register stack = fn->getSubtarget().getTargetLowering()->getStackPointerRegisterToSaveRestore();
    if (i.isDebugInstr() || (i.isReturn() && !i.isCall()))
        return false;
    return i.isCall() || target->isFrameInstr(i) ||
           any_of(i.operands(), [&](const MachineOperand &o) {
               return o.isFI() || o.isRegMask() ||
                      (o.isReg() && o.getReg().isPhysical() &&
                       (o.getReg() == stack || is_saved(o.getReg())));
           });
}

// As in find_start.
MachineBasicBlock *Frames::start(MachineDominatorTree &dom, MachineLoopInfo &loops) const
{
    MachineBasicBlock *found = nullptr;
    for (MachineBasicBlock &bb : *fn)
        if (dom.isReachableFromEntry(&bb) &&
            any_of(bb, [&](const MachineInstr &i) { return has_frame(i); }))
            found = found ? dom.findNearestCommonDominator(found, &bb) : &bb;
    while (found && loops.getLoopFor(found)) {
        MachineDomTreeNode *before = dom.getNode(loops.getLoopFor(found)->getHeader())->getIDom();
        found = before ? before->getBlock() : nullptr;
    }
    return found;
}

// The return that all ways from there end with, if they return, and no others. NULL: there is none.
MachineBasicBlock *Frames::only_return(MachineBasicBlock *from, MachineDominatorTree &dom) const
{
    SmallPtrSet<MachineBasicBlock *, 32> seen = {from};
    std::vector<MachineBasicBlock *> todo = {from};
    MachineBasicBlock *found = nullptr;
    while (!todo.empty()) {
        MachineBasicBlock *bb = todo.back();
        todo.pop_back();
        if (bb->isReturnBlock()) {
            if (found || !dom.dominates(from, bb))
                return nullptr;
            found = bb;
        }
        for (MachineBasicBlock *to : bb->successors())
            if (seen.insert(to).second)
                todo.push_back(to);
    }
    return found;
}

bool Frames::runOnMachineFunction(MachineFunction &f)
{
    MachineFrameInfo &frame = f.getFrameInfo();
    const TargetFrameLowering *lowering = f.getSubtarget().getFrameLowering();
    if (!is_x86(f.getFunction()) || frame.getSavePoint() || frame.hasVarSizedObjects() ||
        frame.hasOpaqueSPAdjustment() || frame.hasTailCall() || f.exposesReturnsTwice() ||
        f.hasEHFunclets() || !lowering->enableShrinkWrapping(f))
        return false;
    // Longer ones are made by code that uses a register, and aligned ones by two.
    if (frame.estimateStackSize(f) > FRAME_MAX ||
        f.getSubtarget().getRegisterInfo()->hasStackRealignment(f))
        return false;
    auto &dom = getAnalysis<MachineDominatorTreeWrapperPass>().getDomTree();
    auto &loops = getAnalysis<MachineLoopInfoWrapperPass>().getLI();
    fn = &f;
    lowering->determineCalleeSaves(f, saved, nullptr);
    MachineBasicBlock *from = start(dom, loops);
    if (!from || from == &f.front())
        return false;
    MachineBasicBlock *to = only_return(from, dom);
    if (!to || to == from || !lowering->canUseAsPrologue(*from) || !lowering->canUseAsEpilogue(*to))
        return false;
    frame.setSavePoint(from);
    frame.setRestorePoint(to);
    return true;
}

} // namespace

void early_exits_add(TargetPassConfig &config)
{
    config.insertPass(&ShrinkWrapID, new Frames());
}

PreservedAnalyses EarlyExits::run(Function &fn, FunctionAnalysisManager &am)
{
    return Splitter(fn, am).run() ? PreservedAnalyses::none() : PreservedAnalyses::all();
}
