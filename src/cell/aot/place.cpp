// See place.h.
#include "place.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/Operator.h>

using namespace llvm;

// What a constant is added to, or NULL.
static const Value *without_constant(const Value *v, uint64_t &off)
{
    const auto *a = dyn_cast<BinaryOperator>(v);
    const auto *by = a ? dyn_cast<ConstantInt>(a->getOperand(1)) : nullptr;
    const auto *o = a ? dyn_cast<PossiblyDisjointInst>(a) : nullptr;
    if (!by || !(a->getOpcode() == Instruction::Add || (o && o->isDisjoint())))
        return nullptr;
    off += (uint64_t)by->getSExtValue();
    return a->getOperand(0);
}

Place::Place(const Value *pointer, Type *type, const DataLayout &dl) : index(nullptr)
{
    APInt constant(64, 0);
    base = pointer->stripAndAccumulateConstantOffsets(dl, constant, true);
    uint64_t at = constant.getZExtValue();
    const auto *e = dyn_cast<GEPOperator>(base);
    if (e && e->getNumIndices() == 1 && e->getSourceElementType()->isIntegerTy(8)) {
        base = e->getPointerOperand();
        index = e->getOperand(1);
        if (const auto *z = dyn_cast<ZExtInst>(index))
            index = z->getOperand(0);
        while (const Value *v = without_constant(index, at))
            index = v;
    }
    off = (int64_t)at;
    end = (int64_t)(at + (type ? (uint64_t)dl.getTypeStoreSize(type) : 0));
}
