// See place.h.
#include "place.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/Operator.h>

using namespace llvm;

bool is_same_value(const Value *a, const Value *b)
{
    const auto *i = dyn_cast<Instruction>(a), *j = dyn_cast<Instruction>(b);
    return a == b ||
           (i && j && !isa<PHINode>(i) && !i->mayReadOrWriteMemory() && i->isIdenticalTo(j));
}

// Of a value that was computed on each of the ways, one of them.
static const Value *one_of(const Value *v)
{
    const auto *phi = dyn_cast<PHINode>(v);
    const Value *first = phi ? phi->getIncomingValue(0) : v;
    return phi && all_of(phi->incoming_values(),
                         [&](const Use &u) { return is_same_value(u, first); })
               ? first
               : v;
}

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
        index = one_of(e->getOperand(1));
        if (const auto *z = dyn_cast<ZExtInst>(index))
            index = z->getOperand(0);
        while (const Value *v = without_constant(index, at))
            index = v;
    }
    off = (int64_t)at;
    end = (int64_t)(at + (type ? (uint64_t)dl.getTypeStoreSize(type) : 0));
}
