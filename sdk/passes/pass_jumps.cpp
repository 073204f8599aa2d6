#include <llvm/Demangle/Demangle.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicsWebAssembly.h>
#include <llvm/IR/Module.h>

#include "passes.h"

using namespace llvm;

// A cleanup is entered by whatever unwinds, a catch of C++ exceptions only by these. So
//
//     pad:  %c = cleanuppad within P []                    pad:  %s = catchswitch within P [label %body] unwind U
//           ...                                 becomes    body: %c = catchpad within %s [ptr null]
//           cleanupret from %c unwind U                          ...
//                                                                invoke rethrow to label %no unwind label U
//
// and a jump goes from the switch straight to U.

static const CallBase *call_of(const Instruction &i, StringRef name)
{
    const auto *call = dyn_cast<CallBase>(&i);
    const Function *to = call ? call->getCalledFunction() : nullptr;

    return to && to->getName() == name ? call : nullptr;
}

// What ends the program where nothing may be thrown.
static bool is_end(const CleanupPadInst &pad)
{
    for (const Instruction *i = pad.getNextNonDebugInstruction(); i;
         i = i->getNextNonDebugInstruction())
        if (isa<CallBase>(i))
            return call_of(*i, "_ZSt9terminatev") || call_of(*i, "__clang_call_terminate");
    return false;
}

static Value *parent_of(const Value *pad)
{
    if (const auto *inner = dyn_cast<CatchSwitchInst>(pad))
        return inner->getParentPad();
    return cast<FuncletPadInst>(pad)->getParentPad();
}

static bool is_within(const Value *pad, const Value *outer)
{
    for (; isa<Instruction>(pad); pad = parent_of(pad))
        if (pad == outer)
            return true;
    return false;
}

// Where what leaves a cleanup by unwinding goes: all ways out of it go there. Null: to the caller.
static BasicBlock *unwinds_to(const CleanupPadInst &pad)
{
    for (const User *u : pad.users()) {
        if (const auto *end = dyn_cast<CleanupReturnInst>(u))
            return end->getUnwindDest();
        const auto *call = dyn_cast<InvokeInst>(u);
        if (call && !is_within(call->getUnwindDest()->getFirstNonPHI(), &pad))
            return call->getUnwindDest();
    }
    if (const auto *outer = dyn_cast<CleanupPadInst>(pad.getParentPad()))
        return unwinds_to(*outer);
    if (const auto *outer = dyn_cast<CatchPadInst>(pad.getParentPad()))
        return outer->getCatchSwitch()->getUnwindDest();
    return nullptr;
}

// Nobody looks at the values that a jump would bring: no code runs on its way.
static void add_way(BasicBlock *to, BasicBlock *from)
{
    for (PHINode &phi : to->phis())
        phi.addIncoming(PoisonValue::get(phi.getType()), from);
}

static void throw_again(CleanupReturnInst *end, CatchPadInst *pad)
{
    Module *m = end->getModule();
    BasicBlock *to = end->getUnwindDest();
    Function *rethrow = Intrinsic::getDeclaration(m, Intrinsic::wasm_rethrow);
    OperandBundleDef bundle("funclet", static_cast<Value *>(pad));
    IRBuilder<> b(end);

    if (to) {
        BasicBlock *no = BasicBlock::Create(m->getContext(), "", end->getFunction());
        new UnreachableInst(m->getContext(), no);
        b.CreateInvoke(rethrow, no, to, {}, {bundle});
    } else {
        b.CreateCall(rethrow, {}, {bundle});
        b.CreateUnreachable();
    }
    end->eraseFromParent();
}

static void let_jumps_pass(CleanupPadInst *pad)
{
    BasicBlock *entry = pad->getParent();
    BasicBlock *to = unwinds_to(*pad);
    BasicBlock *body = entry->splitBasicBlock(pad, "");
    IRBuilder<> b(entry->getTerminator());
    CatchSwitchInst *any = b.CreateCatchSwitch(pad->getParentPad(), to, 1);

    any->addHandler(body);
    entry->getTerminator()->eraseFromParent();
    if (to)
        add_way(to, entry);
    b.SetInsertPoint(pad);
    Value *all = ConstantPointerNull::get(b.getPtrTy());
    CatchPadInst *caught = b.CreateCatchPad(any, {all});
    b.CreateIntrinsic(Intrinsic::wasm_get_exception, {}, {caught});
    for (User *u : make_early_inc_range(pad->users()))
        if (auto *end = dyn_cast<CleanupReturnInst>(u))
            throw_again(end, caught);
    pad->replaceAllUsesWith(caught);
    pad->eraseFromParent();
}

static std::string source_name(const Function &f)
{
    return f.getName() == "__main_argc_argv" || f.getName() == "__original_main"
               ? "main"
               : demangle(f.getName());
}

// The code generator cannot, and would say so without a place, as its own fault.
static void refuse(CallBase *call)
{
    const Function *f = call->getFunction();

    call->getContext().emitError(
        call, f->getParent()->getSourceFileName() + ": '" + source_name(*f) +
                  "' calls setjmp in a catch block, which is not supported: call it before, or in "
                  "a function of its own");
    call->replaceAllUsesWith(Constant::getNullValue(call->getType()));
    if (auto *invoke = dyn_cast<InvokeInst>(call)) {
        BranchInst::Create(invoke->getNormalDest(), invoke->getIterator());
        invoke->getUnwindDest()->removePredecessor(invoke->getParent());
    }
    call->eraseFromParent();
}

static bool refuse_setjmp_in_catch(Function &f)
{
    SmallVector<CallBase *, 4> found;

    for (BasicBlock &block : f)
        for (Instruction &i : block)
            if (call_of(i, "setjmp") && cast<CallBase>(i).getOperandBundle(LLVMContext::OB_funclet))
                found.push_back(cast<CallBase>(&i));
    for (CallBase *call : found)
        refuse(call);
    return !found.empty();
}

PreservedAnalyses PassJumps::run(Module &m, ModuleAnalysisManager &)
{
    bool changed = false;

    for (Function &f : m) {
        SmallVector<CleanupPadInst *, 8> pads;
        bool jumps = false;

        for (const BasicBlock &block : f)
            for (const Instruction &i : block)
                jumps |= call_of(i, "setjmp") != nullptr;
        if (jumps)
            changed |= refuse_setjmp_in_catch(f);
        for (BasicBlock &block : f)
            if (auto *pad = dyn_cast_or_null<CleanupPadInst>(block.getFirstNonPHI()))
                if (jumps || is_end(*pad))
                    pads.push_back(pad);
        for (CleanupPadInst *pad : pads)
            let_jumps_pass(pad);
        changed |= !pads.empty();
    }
    return changed ? PreservedAnalyses::none() : PreservedAnalyses::all();
}

bool PassJumps::isRequired()
{
    return true;
}
