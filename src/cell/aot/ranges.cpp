// See ranges.h.
#include "ranges.h"

#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicInst.h>

using namespace llvm;

namespace
{

const unsigned DEPTH_MAX = 24;  // operations that a value is made by; beyond, anything is possible
const unsigned WORK_MAX = 1000; // values looked at for one answer; likewise
const unsigned CONDITION_DEPTH = 4; // operations that a condition is made by

unsigned bitsOf(const Value *v)
{
    return v->getType()->getScalarSizeInBits();
}

// All elements of a vector.
ConstantRange numbersOf(const Constant *c)
{
    ConstantRange r = ConstantRange::getEmpty(bitsOf(c));
    const auto *type = dyn_cast<FixedVectorType>(c->getType());
    for (unsigned k = 0; k < (type ? type->getNumElements() : 1); k++) {
        const Constant *of = type ? c->getAggregateElement(k) : c;
        const auto *n = dyn_cast_or_null<ConstantInt>(of);
        if (!n)
            return ConstantRange::getFull(bitsOf(c));
        r = r.unionWith(n->getValue());
    }
    return r;
}

} // namespace

Ranges::Ranges(Function &f)
    : layout(f.getDataLayout()), dom(f), loop_info(dom), assumptions(f), library(functions),
      scev(f, library, assumptions, dom, loop_info), at_uses(&assumptions, &layout)
{
}

// In all executions.
ConstantRange Ranges::rangeOf(const Value *v)
{
    auto *value = const_cast<Value *>(v);
    if (!v->getType()->isIntegerTy())
        return ConstantRange::fromKnownBits(computeKnownBits(v, layout), false);
    const SCEV *s = scev.getSCEV(value);
    return scev.getUnsignedRange(s).intersectWith(scev.getSignedRange(s));
}

// ---- constants that may take the place of a value ----

// The loop is too long to be unrolled whole, or what it begins with and each iteration's value are among the guesses.
Ranges::Guess Ranges::guessOfHeader(const PHINode &phi, const Loop &loop, unsigned depth)
{
    Guess g = {ConstantRange::getEmpty(bitsOf(&phi)), isShort(loop)};
    for (unsigned k = 0; k < phi.getNumIncomingValues(); k++)
        if (!loop.contains(phi.getIncomingBlock(k)))
            g.values = g.values.unionWith(guess(phi.getIncomingValue(k), depth).values);
    if (g.values.isEmptySet())
        return g;
    auto *value = const_cast<PHINode *>(&phi);
    if (phi.getType()->isIntegerTy() && isa<SCEVAddRecExpr>(scev.getSCEV(value))) {
        g.values = rangeOf(&phi);
        return g;
    }
    guesses.insert_or_assign(&phi, g);
    for (unsigned k = 0; k < phi.getNumIncomingValues(); k++)
        if (loop.contains(phi.getIncomingBlock(k)) &&
            !guess(phi.getIncomingValue(k), depth).values.isEmptySet()) {
            g.values = ConstantRange::getFull(bitsOf(&phi));
            guesses.clear(); // some were made of the first value alone
            break;
        }
    return g;
}

Ranges::Guess Ranges::guessOfPhi(const PHINode &phi, unsigned depth)
{
    const Loop *loop = loop_info.getLoopFor(phi.getParent());
    if (loop && loop->getHeader() == phi.getParent())
        return guessOfHeader(phi, *loop, depth);
    Guess g = {ConstantRange::getEmpty(bitsOf(&phi)), true};
    for (const Value *v : phi.incoming_values())
        g.values = g.values.unionWith(guess(v, depth).values);
    return g;
}

// What the result is, whatever the other operand is, for one of the constants that operand k may be; else none.
ConstantRange Ranges::absorbed(const BinaryOperator &i, unsigned k, const Guess &of)
{
    unsigned bits = bitsOf(&i);
    APInt zero(bits, 0), ones = APInt::getAllOnes(bits);
    switch (i.getOpcode()) {
    case Instruction::And:
    case Instruction::Mul:
        return of.has(zero) ? ConstantRange(zero) : ConstantRange::getEmpty(bits);
    case Instruction::Or:
        return of.has(ones) ? ConstantRange(ones) : ConstantRange::getEmpty(bits);
    case Instruction::Shl:
    case Instruction::LShr:
    case Instruction::AShr:
    case Instruction::UDiv:
    case Instruction::SDiv:
    case Instruction::URem:
    case Instruction::SRem:
        return k == 0 && of.has(zero) ? ConstantRange(zero) : ConstantRange::getEmpty(bits);
    default:
        return ConstantRange::getEmpty(bits);
    }
}

// Sums of counters, and multiples of them, show no more than the counters do.
Ranges::Guess Ranges::guessOfArithmetic(const BinaryOperator &i, unsigned depth)
{
    Guess a = guess(i.getOperand(0), depth), b = guess(i.getOperand(1), depth);
    Guess g = {ConstantRange::getEmpty(bitsOf(&i)), true};
    if (a.values.isEmptySet() || b.values.isEmptySet()) {
        unsigned k = a.values.isEmptySet();
        const Guess &of = k == 0 ? a : b;
        if (of.any())
            g.values = absorbed(i, k, of);
        return g;
    }
    bool is_linear = i.getOpcode() == Instruction::Add || i.getOpcode() == Instruction::Sub ||
                     ((i.getOpcode() == Instruction::Mul || i.getOpcode() == Instruction::Shl) &&
                      isa<Constant>(i.getOperand(1)));
    g.values = a.values.binaryOp(i.getOpcode(), b.values);
    g.is_shown = (a.is_shown && b.is_shown) || !is_linear;
    return g;
}

Ranges::Guess Ranges::guessOf(const Instruction &i, unsigned depth)
{
    Guess none = {ConstantRange::getEmpty(bitsOf(&i)), true};
    if (const auto *phi = dyn_cast<PHINode>(&i))
        return guessOfPhi(*phi, depth);
    if (const auto *b = dyn_cast<BinaryOperator>(&i))
        return guessOfArithmetic(*b, depth);
    if (isa<FreezeInst>(i))
        return guess(i.getOperand(0), depth);
    if (isa<SelectInst>(i)) {
        ConstantRange arm = guess(i.getOperand(1), depth).values;
        return {arm.unionWith(guess(i.getOperand(2), depth).values), true};
    }
    if (isa<TruncInst>(i) || isa<ZExtInst>(i) || isa<SExtInst>(i)) {
        Guess g = guess(i.getOperand(0), depth);
        if (!g.values.isEmptySet())
            g.values = g.values.castOp(cast<CastInst>(i).getOpcode(), bitsOf(&i));
        return g.values.isEmptySet() ? none : g;
    }
    if (!isa<ICmpInst>(i) && !isa<IntrinsicInst>(i) && !isa<CastInst>(i) &&
        !isa<ShuffleVectorInst>(i) && !isa<InsertElementInst>(i) && !isa<ExtractElementInst>(i))
        return none;
    for (const Value *v : i.operand_values())
        if (v->getType()->isIntOrIntVectorTy() && guess(v, depth).values.isEmptySet())
            return none;
    bool is_number = all_of(i.operand_values(), [](const Value *v) {
        return v->getType()->isIntOrIntVectorTy() || isa<Function>(v);
    });
    return is_number ? Guess{ConstantRange::getFull(bitsOf(&i)), true} : none;
}

Ranges::Guess Ranges::guess(const Value *v, unsigned depth)
{
    const auto *i = dyn_cast<Instruction>(v);
    if (const auto *c = dyn_cast<Constant>(v); c && v->getType()->isIntOrIntVectorTy())
        return {numbersOf(c), true};
    if (!i || !v->getType()->isIntOrIntVectorTy())
        return {ConstantRange::getEmpty(std::max(bitsOf(v), 1u)), true};
    if (depth >= DEPTH_MAX || work >= WORK_MAX)
        return {ConstantRange::getFull(bitsOf(v)), true};
    Guess none = {ConstantRange::getEmpty(bitsOf(v)), true};
    auto [at, is_new] = guesses.try_emplace(v, none); // for the way back here round a loop
    if (!is_new)
        return at->second;
    work++;
    Guess g = guessOf(*i, depth + 1);
    guesses.insert_or_assign(v, g);
    return g;
}

// ---- operands that may not matter ----

// Is the comparison the same whenever it is executed?
bool Ranges::isDecided(const ICmpInst &i)
{
    Value *a = i.getOperand(0), *b = i.getOperand(1);
    if (!a->getType()->isIntegerTy() || isa<Constant>(a))
        return false;
    if (scev.evaluatePredicateAt(i.getPredicate(), scev.getSCEV(a), scev.getSCEV(b), &i))
        return true;
    ConstantRange of_a = at_uses.getConstantRangeAtUse(i.getOperandUse(0), true);
    ConstantRange of_b = at_uses.getConstantRangeAtUse(i.getOperandUse(1), true);
    return of_a.icmp(i.getPredicate(), of_b) || of_a.icmp(i.getInversePredicate(), of_b);
}

// Or is it for one of the constants that the other operand may be?
bool Ranges::mayIgnoreCompared(const ICmpInst &i, unsigned k)
{
    if (!i.getOperand(0)->getType()->isIntOrIntVectorTy())
        return false;
    if (isDecided(i))
        return true;
    Guess other = guess(i.getOperand(1 - k));
    if (!other.any())
        return false;
    CmpInst::Predicate p = k == 0 ? i.getSwappedPredicate() : i.getPredicate();
    ConstantRange range = rangeOf(i.getOperand(k));
    ConstantRange always = ConstantRange::makeSatisfyingICmpRegion(p, range);
    ConstantRange never = ConstantRange::makeSatisfyingICmpRegion(CmpInst::getInversePredicate(p),
                                                                  range);
    return !other.values.intersectWith(always).isEmptySet() ||
           !other.values.intersectWith(never).isEmptySet();
}

bool Ranges::mayBeDecided(const Value *condition, unsigned depth)
{
    if (guess(condition).any())
        return true;
    if (const auto *i = dyn_cast<ICmpInst>(condition))
        return mayIgnoreCompared(*i, 0) || mayIgnoreCompared(*i, 1);
    const auto *b = dyn_cast<BinaryOperator>(condition);
    return b && (depth >= CONDITION_DEPTH || mayBeDecided(b->getOperand(0), depth + 1) ||
                 mayBeDecided(b->getOperand(1), depth + 1));
}

bool Ranges::mayIgnoreArithmetic(const BinaryOperator &i, unsigned k)
{
    unsigned bits = bitsOf(&i);
    if (!i.getType()->isIntOrIntVectorTy())
        return false;
    Guess other = guess(i.getOperand(1 - k));
    if (!other.any())
        return false;
    APInt zero(bits, 0), one(bits, 1), ones = APInt::getAllOnes(bits);
    switch (i.getOpcode()) {
    case Instruction::And:
    case Instruction::Mul:
        return other.has(zero);
    case Instruction::Or:
        return other.has(ones);
    case Instruction::UDiv:
    case Instruction::SDiv:
        return k == 1
                   ? other.has(zero)
                   : other.values.getUnsignedMax().ugt(rangeOf(i.getOperand(0)).getUnsignedMax());
    case Instruction::URem:
    case Instruction::SRem:
        return k == 1 ? other.has(zero) : other.has(one) || other.has(ones);
    case Instruction::LShr:
    case Instruction::AShr:
        if (k == 0)
            return other.values.getUnsignedMax().uge(
                rangeOf(i.getOperand(0)).getUnsignedMax().getActiveBits());
        return other.has(zero) || other.has(ones);
    case Instruction::Shl:
        return k == 1 && other.has(zero);
    default:
        return false;
    }
}

bool Ranges::mayIgnore(const Instruction &i, unsigned k)
{
    work = 0;
    if (const auto *c = dyn_cast<ICmpInst>(&i))
        return mayIgnoreCompared(*c, k);
    if (const auto *b = dyn_cast<BinaryOperator>(&i))
        return mayIgnoreArithmetic(*b, k);
    if (isa<SelectInst>(i))
        return k > 0 && mayBeDecided(i.getOperand(0));
    const auto *m = dyn_cast<MinMaxIntrinsic>(&i);
    if (!m || k > 1)
        return false;
    Guess other = guess(i.getOperand(1 - k));
    ConstantRange range = rangeOf(i.getOperand(k));
    // the operand is dropped where it is never the smaller (greater) one
    CmpInst::Predicate p = CmpInst::getNonStrictPredicate(m->getPredicate());
    ConstantRange always = ConstantRange::makeSatisfyingICmpRegion(p, range);
    return other.any() && !other.values.intersectWith(always).isEmptySet();
}
