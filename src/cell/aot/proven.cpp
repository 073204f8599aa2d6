#include "proven.h"

#include <vector>

#include <llvm/ADT/DenseMap.h>
#include <llvm/ADT/PostOrderIterator.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>

using namespace llvm;

namespace
{

const unsigned LOOK_BACK_MAX = 32; // accesses from one base

struct Reach {
    const Instruction *at;
    int64_t end; // from the base
};

} // namespace

bool is_guest_access(const Instruction &i)
{
    const MDNode *tag = i.getMetadata(LLVMContext::MD_tbaa);
    if (!tag || tag->getNumOperands() < 1)
        return false;
    const auto *type = dyn_cast<MDNode>(tag->getOperand(0));
    const auto *name = type ? dyn_cast<MDString>(type->getOperand(0)) : nullptr;
    return name && name->getString() == "memory";
}

PreservedAnalyses ProvenLoads::run(Function &fn, FunctionAnalysisManager &analyses)
{
    const DominatorTree &dom = analyses.getResult<DominatorTreeAnalysis>(fn);
    const DataLayout &dl = fn.getDataLayout();
    DenseMap<const Value *, std::vector<Reach>> reached;
    ReversePostOrderTraversal<Function *> order(&fn);
    for (BasicBlock *bb : order)
        for (Instruction &i : *bb) {
            const Value *pointer = getLoadStorePointerOperand(&i);
            if (!pointer || !is_guest_access(i))
                continue;
            APInt off(64, 0);
            const Value *base = pointer->stripAndAccumulateConstantOffsets(dl, off, true);
            int64_t end = off.getSExtValue() + (int64_t)dl.getTypeStoreSize(getLoadStoreType(&i));
            std::vector<Reach> &from = reached[base];
            unsigned budget = LOOK_BACK_MAX;
            bool proven = false;
            for (auto k = from.rbegin(); k != from.rend() && !proven && budget--; ++k)
                proven = k->end >= end && dom.dominates(k->at, &i);
            if (!proven)
                from.push_back({&i, end});
            else if (auto *l = dyn_cast<LoadInst>(&i); l && !l->isAtomic())
                l->setVolatile(false);
        }
    return PreservedAnalyses::none();
}
