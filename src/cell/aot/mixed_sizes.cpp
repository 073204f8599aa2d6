// See mixed_sizes.h.
#include "mixed_sizes.h"

#include <llvm/ADT/DenseMap.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Instructions.h>
#include <llvm/Transforms/Utils/LoopUtils.h>

using namespace llvm;

namespace
{

struct Access {
    TypeSize size = TypeSize::getFixed(0);
    bool stores = false;
    bool mixed = false; // sizes
};

bool writesMixed(const Loop &loop)
{
    DenseMap<const Value *, Access> of;
    for (BasicBlock *bb : loop.blocks())
        for (Instruction &i : *bb) {
            const Value *pointer = getLoadStorePointerOperand(&i);
            if (!pointer)
                continue;
            TypeSize size = i.getDataLayout().getTypeStoreSize(getLoadStoreType(&i));
            auto [at, is_new] = of.try_emplace(pointer);
            Access &a = at->second;
            a.mixed |= !is_new && a.size != size;
            a.stores |= isa<StoreInst>(i);
            a.size = size;
            if (a.mixed && a.stores)
                return true;
        }
    return false;
}

} // namespace

PreservedAnalyses MixedSizes::run(Function &fn, FunctionAnalysisManager &am)
{
    bool changed = false;
    for (Loop *loop : am.getResult<LoopAnalysis>(fn).getLoopsInPreorder())
        if (loop->isInnermost() && writesMixed(*loop)) {
            addStringMetadataToLoop(loop, "llvm.loop.vectorize.enable", 0);
            changed = true;
        }
    return changed ? PreservedAnalyses::none() : PreservedAnalyses::all();
}
