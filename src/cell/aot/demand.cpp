// Bytes of values that matter: see demand.h.
//
// From what has an effect, backwards through the operands, until nothing is added. A value has a mask of its bytes;
// elements that are no whole bytes count as if they were. Where an instruction is not known here, all bytes of its
// operands matter if any of its result does.
#include "demand.h"
#include "idle_branches.h"
#include "place.h"
#include "ranges.h"

#include <memory>
#include <optional>
#include <vector>

#include <llvm/ADT/DenseMap.h>
#include <llvm/ADT/PostOrderIterator.h>
#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/Analysis/VectorUtils.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Operator.h>
#include <llvm/Support/CBindingWrapping.h>
#include <llvm/Support/KnownBits.h>

using namespace llvm;

namespace
{

const unsigned AHEAD_MAX = 64;       // instructions, for a store to the same place
const unsigned AROUND_MAX = 128;     // values made of one that an iteration leaves the next
const unsigned AHEAD_BLOCKS_MAX = 8; // that they are in
const unsigned LOOP_MAX =
    256; // loads of a loop that are looked at: with more, none is taken to read it
const unsigned LANE_DEPTH = 6; // operations that a lane is made by

// A type as elements of so many bytes.
struct Layout {
    unsigned count, size;
    bool whole; // elements are whole bytes

    unsigned bytes() const
    {
        return count * size;
    }
};

Layout layoutOf(const Type *t)
{
    unsigned count = 1;
    if (const auto *v = dyn_cast<FixedVectorType>(t)) {
        count = v->getNumElements();
        t = v->getElementType();
    }
    unsigned bits = t->isPointerTy() ? 64 : t->getPrimitiveSizeInBits().getFixedValue();
    return bits ? Layout{count, (bits + 7) / 8, bits % 8 == 0} : Layout{1, 1, false};
}

APInt all(const Value *v)
{
    return APInt::getAllOnes(layoutOf(v->getType()).bytes());
}

// Of each element.
APInt lowestBytes(const Value *v)
{
    Layout l = layoutOf(v->getType());
    APInt r = APInt::getZero(l.bytes());
    for (unsigned e = 0; e < l.count; e++)
        r.setBit(e * l.size);
    return r;
}

APInt none(const Value *v)
{
    return APInt::getZero(layoutOf(v->getType()).bytes());
}

} // namespace

struct demand {
    Function &fn;
    const DataLayout &dl;
    std::unique_ptr<Ranges> ranges;     // when passes over loops follow: stores may leave them, too
    std::unique_ptr<IdleBranches> idle; // likewise: branches may go away
    std::vector<BasicBlock *> order;    // of the blocks, but for ways round loops
    DenseMap<const BasicBlock *, unsigned> position;
    DenseMap<const Instruction *, APInt> needed;
    DenseMap<const Instruction *, APInt> open; // bytes of vectors that are not known
    std::vector<const Instruction *> work;

    demand(Function &f, bool loop_passes) : fn(f), dl(f.getDataLayout())
    {
        if (loop_passes)
            ranges = std::make_unique<Ranges>(f);
        for (BasicBlock *bb : ReversePostOrderTraversal<Function *>(&f)) {
            order.push_back(bb);
            position.try_emplace(bb, order.size());
        }
        if (loop_passes)
            idle = std::make_unique<IdleBranches>(
                f, ranges->dominators(), ranges->loops(),
                [&](const StoreInst &s) { return storesBack(s) || isOverwritten(s); },
                [&](const Loop &l) { return ranges->isShort(l); });
        run();
    }

    APInt of(const Instruction *i) const
    {
        auto found = needed.find(i);
        return found == needed.end() ? none(i) : found->second;
    }
    APInt ofUse(const Instruction *user, unsigned k) const;
    bool isUsedAround(const Loop &loop, const PHINode &phi) const;

  private:
    void run();
    void need(const Value *v, const APInt &bytes);
    const APInt &openOf(const Instruction *i);
    void visit(const Instruction *i);
    bool storesBack(const StoreInst &s) const;
    bool overwrites(const Instruction &i, const Place &a) const;
    bool isOverwritten(const StoreInst &s) const;
    bool isPerLoop(const StoreInst &s) const;
    APInt ofOperand(const Instruction *i, unsigned k, const APInt &n) const;
    APInt ofArithmetic(const BinaryOperator *i, unsigned k, const APInt &n) const;
    APInt ofShift(const BinaryOperator *i, const APInt &n) const;
    APInt ofCast(const CastInst *i, const APInt &n) const;
    APInt ofShuffle(const ShuffleVectorInst *i, unsigned k, const APInt &n) const;
    APInt ofElement(const Instruction *i, unsigned k, const APInt &n) const;
    APInt ofLanes(const Instruction *i, unsigned k, const APInt &n) const;
    APInt ofCompare(const ICmpInst *i, unsigned k, const APInt &n) const;
};

// ---- stores that may be dropped ----

// The value is what is there already, as far as can be seen here.
bool demand::storesBack(const StoreInst &s) const
{
    const Value *v = s.getValueOperand();
    while (isa<TruncInst>(v) || isa<BitCastInst>(v) || isa<FreezeInst>(v) ||
           isa<ExtractElementInst>(v) || isa<ShlOperator>(v) || isa<LShrOperator>(v) ||
           isa<AShrOperator>(v))
        v = cast<User>(v)->getOperand(0);
    const auto *l = dyn_cast<LoadInst>(v);
    if (!l)
        return false;
    Place a(l->getPointerOperand(), l->getType(), dl);
    return Place(s.getPointerOperand(), s.getValueOperand()->getType(), dl).isWithin(a);
}

// Does it write some of the place? Others may write the rest.
bool demand::overwrites(const Instruction &i, const Place &a) const
{
    if (const auto *t = dyn_cast<StoreInst>(&i))
        return a.meets(Place(t->getPointerOperand(), t->getValueOperand()->getType(), dl));
    const auto *m = dyn_cast<MemIntrinsic>(&i);
    const auto *n = m ? dyn_cast<ConstantInt>(m->getLength()) : nullptr;
    if (!n)
        return false;
    Place b(m->getRawDest(), nullptr, dl);
    b.end += n->getSExtValue();
    return a.meets(b);
}

// Something a little further on writes there, though it may be on one way only.
bool demand::isOverwritten(const StoreInst &s) const
{
    Place a(s.getPointerOperand(), s.getValueOperand()->getType(), dl);
    SmallVector<const BasicBlock *, AHEAD_BLOCKS_MAX> ahead{s.getParent()};
    const Instruction *first = s.getNextNode();
    unsigned budget = AHEAD_MAX;
    for (unsigned k = 0; k < ahead.size(); k++) {
        for (const Instruction *i = first; i && budget; i = i->getNextNode(), budget--)
            if (overwrites(*i, a))
                return true;
        for (const BasicBlock *next : successors(ahead[k]))
            if (ahead.size() < AHEAD_BLOCKS_MAX && !is_contained(ahead, next) &&
                position.lookup(next) > position.lookup(ahead[k])) // not round a loop
                ahead.push_back(next);
        first = k + 1 < ahead.size() ? &ahead[k + 1]->front() : nullptr;
    }
    return false;
}

// Only chosen between, as it is: which one a loop takes in the end may be known later.
bool isChoice(const Use &u)
{
    return isa<PHINode>(u.getUser()) || (isa<SelectInst>(u.getUser()) && u.getOperandNo() > 0);
}

bool demand::isUsedAround(const Loop &loop, const PHINode &phi) const
{
    // What is made of the phi, and whether it is the phi's own value.
    SmallVector<std::pair<const Instruction *, bool>, 32> todo{{&phi, true}};
    SmallPtrSet<const Instruction *, 32> same, made;
    for (unsigned k = 0; k < todo.size() && k < AROUND_MAX; k++)
        for (const Use &u : todo[k].first->uses()) {
            const auto *user = cast<Instruction>(u.getUser());
            if (!loop.contains(user) || ofUse(user, u.getOperandNo()).isZero())
                continue;
            bool is_same = todo[k].second && isChoice(u);
            if (demand_has_effect(wrap(user)) || (user == &phi && !is_same))
                return true;
            if ((is_same ? same : made).insert(user).second)
                todo.emplace_back(user, is_same);
        }
    return false;
}

// Each iteration of a loop stores to the same place, and none reads it: only the last may be left, behind the loop.
bool demand::isPerLoop(const StoreInst &s) const
{
    const Loop *loop = ranges ? ranges->loops().getLoopFor(s.getParent()) : nullptr;
    if (!loop || !isInvariant(*loop, s.getPointerOperand()))
        return false;
    Place a(s.getPointerOperand(), s.getValueOperand()->getType(), dl);
    unsigned budget = LOOP_MAX;
    for (const BasicBlock *bb : loop->blocks())
        for (const Instruction &i : *bb) {
            if (isa<CallBase>(i) && demand_has_effect(wrap(&i)))
                return false; // may look at the memory
            const auto *l = dyn_cast<LoadInst>(&i);
            if (l && !budget--)
                return true;
            if (l && a.isWithin(Place(l->getPointerOperand(), l->getType(), dl)))
                return false;
        }
    return true;
}

// ---- from the bytes of a result to those of an operand ----

// Of one element of so many bits, by how much is known.
APInt shiftedBytes(unsigned opcode, const APInt &n, unsigned bits, unsigned by)
{
    APInt wide(bits, 0), r(bits / 8, 0);
    for (unsigned b = 0; b < bits / 8; b++)
        if (n[b])
            wide.setBits(b * 8, b * 8 + 8);
    bool sign = opcode == Instruction::AShr && wide.getActiveBits() + by > bits;
    wide = opcode == Instruction::Shl ? wide.lshr(by) : wide.shl(by);
    if (sign)
        wide.setSignBit();
    for (unsigned b = 0; b < bits / 8; b++)
        r.setBitVal(b, !wide.extractBits(8, b * 8).isZero());
    return r;
}

APInt demand::ofShift(const BinaryOperator *i, const APInt &n) const
{
    const auto *c = dyn_cast<Constant>(i->getOperand(1));
    Layout l = layoutOf(i->getType());
    if (!c || !l.whole)
        return ofLanes(i, 0, n);
    APInt r = none(i);
    for (unsigned e = 0; e < l.count; e++) {
        const Constant *of = i->getType()->isVectorTy() ? c->getAggregateElement(e) : c;
        const auto *by = dyn_cast_or_null<ConstantInt>(of);
        APInt lane = n.extractBits(l.size, e * l.size);
        if (by && by->getValue().ult(l.size * 8))
            lane = shiftedBytes(i->getOpcode(), lane, l.size * 8, (unsigned)by->getZExtValue());
        else if (!lane.isZero())
            lane.setAllBits();
        r.insertBits(lane, e * l.size);
    }
    return r;
}

// Is the comparison the same whatever the other bits are?
bool isDecided(CmpInst::Predicate p, const KnownBits &a, const KnownBits &b)
{
    switch (p) {
    case CmpInst::ICMP_EQ:
    case CmpInst::ICMP_NE:
        return KnownBits::eq(a, b).has_value();
    case CmpInst::ICMP_ULT:
    case CmpInst::ICMP_UGE:
        return KnownBits::ult(a, b).has_value();
    case CmpInst::ICMP_UGT:
    case CmpInst::ICMP_ULE:
        return KnownBits::ugt(a, b).has_value();
    case CmpInst::ICMP_SLT:
    case CmpInst::ICMP_SGE:
        return KnownBits::slt(a, b).has_value();
    default:
        return KnownBits::sgt(a, b).has_value();
    }
}

KnownBits knownLane(const Value *v, unsigned lane, const DataLayout &dl, unsigned depth);

// A vector seen as one of other elements.
std::optional<KnownBits> knownPart(const BitCastInst *c, unsigned lane, const DataLayout &dl,
                                   unsigned depth)
{
    const Value *of = c->getOperand(0);
    Layout to = layoutOf(c->getType()), from = layoutOf(of->getType());
    if (!of->getType()->isIntOrIntVectorTy() || !to.whole || !from.whole)
        return std::nullopt;
    if (from.size >= to.size) {
        unsigned ratio = from.size / to.size;
        return knownLane(of, lane / ratio, dl, depth)
            .extractBits(to.size * 8, lane % ratio * to.size * 8);
    }
    KnownBits known(to.size * 8);
    unsigned ratio = to.size / from.size;
    for (unsigned p = 0; p < ratio; p++)
        known.insertBits(knownLane(of, lane * ratio + p, dl, depth), p * from.size * 8);
    return known;
}

// How many bits of an element, from the highest on, are the same.
unsigned signBits(const Value *v, unsigned lane, const DataLayout &dl)
{
    const Value *of = v;
    while (const auto *c = dyn_cast<BitCastInst>(of))
        of = c->getOperand(0);
    Layout to = layoutOf(v->getType()), from = layoutOf(of->getType());
    if (!of->getType()->isIntOrIntVectorTy() || !from.whole || from.size <= to.size)
        return ComputeNumSignBits(v, dl);
    unsigned ratio = from.size / to.size, above = (ratio - 1 - lane % ratio) * to.size * 8;
    unsigned same = ComputeNumSignBits(of, dl);
    return same > above ? std::min(same - above, to.size * 8) : 1;
}

// Through what selection sees lane by lane, and LLVM's own analysis of vectors does not.
std::optional<KnownBits> knownThrough(const Instruction *i, unsigned lane, const DataLayout &dl,
                                      unsigned depth)
{
    auto operand = [&](unsigned k) { return knownLane(i->getOperand(k), lane, dl, depth); };
    unsigned bits = i->getType()->getScalarSizeInBits();
    switch (i->getOpcode()) {
    case Instruction::BitCast:
        return knownPart(cast<BitCastInst>(i), lane, dl, depth);
    case Instruction::SExt:
        return operand(0).sext(bits);
    case Instruction::ZExt:
        return operand(0).zext(bits);
    case Instruction::Mul:
        return KnownBits::mul(operand(0), operand(1));
    case Instruction::Add:
    case Instruction::Sub:
        return KnownBits::computeForAddSub(i->getOpcode() == Instruction::Add, false, false,
                                           operand(0), operand(1));
    case Instruction::And:
        return operand(0) & operand(1);
    case Instruction::Or:
        return operand(0) | operand(1);
    case Instruction::Xor:
        return operand(0) ^ operand(1);
    case Instruction::Shl:
        return KnownBits::shl(operand(0), operand(1));
    case Instruction::LShr:
        return KnownBits::lshr(operand(0), operand(1));
    case Instruction::AShr:
        return KnownBits::ashr(operand(0), operand(1));
    case Instruction::Trunc:
        return operand(0).trunc(bits);
    case Instruction::Call: {
        const auto *c = cast<CallInst>(i);
        if (c->getIntrinsicID() != Intrinsic::abs)
            return std::nullopt;
        KnownBits known = operand(0).abs();
        known.Zero.setHighBits(signBits(c->getOperand(0), lane, dl) - 1);
        return known;
    }
    case Instruction::ShuffleVector: {
        const auto *s = cast<ShuffleVectorInst>(i);
        unsigned count = layoutOf(s->getOperand(0)->getType()).count;
        int from = s->getMaskValue(lane);
        if (from < 0)
            return std::nullopt;
        return knownLane(s->getOperand((unsigned)from >= count), (unsigned)from % count, dl, depth);
    }
    default:
        return std::nullopt;
    }
}

// What is known of one element.
KnownBits knownLane(const Value *v, unsigned lane, const DataLayout &dl,
                    unsigned depth = LANE_DEPTH)
{
    const auto *t = dyn_cast<FixedVectorType>(v->getType());
    if (!t)
        return computeKnownBits(v, dl);
    const auto *i = dyn_cast<Instruction>(v);
    if (i && depth > 0)
        if (std::optional<KnownBits> known = knownThrough(i, lane, dl, depth - 1))
            return *known;
    return computeKnownBits(v, APInt::getOneBitSet(t->getNumElements(), lane), dl);
}

// Are signs of floats looked at, seen as integers, that are known, as of roots and of converted unsigned integers?
bool isSignKnown(const Value *v, const DataLayout &dl)
{
    const auto *c = dyn_cast<BitCastInst>(v);
    if (!c || !c->getOperand(0)->getType()->isFPOrFPVectorTy())
        return false;
    return computeKnownFPClass(c->getOperand(0), dl).SignBit.has_value();
}

// Integers, each element by itself: where another operand decides bytes of the result, or those below do.
APInt demand::ofArithmetic(const BinaryOperator *i, unsigned k, const APInt &n) const
{
    Layout l = layoutOf(i->getType());
    const Value *other = i->getOperand(1 - k);
    APInt r = n;
    if (i->getOpcode() == Instruction::Xor)
        return r;
    if (i->getOpcode() == Instruction::And || i->getOpcode() == Instruction::Or) {
        for (unsigned e = 0; e < l.count; e++) {
            KnownBits known = knownLane(other, e, dl);
            const APInt &decided = i->getOpcode() == Instruction::And ? known.Zero : known.One;
            for (unsigned b = 0; b < l.size; b++) {
                unsigned width = std::min(8u, decided.getBitWidth() - b * 8);
                if (decided.extractBits(width, b * 8).isAllOnes())
                    r.clearBit(e * l.size + b);
            }
        }
        return r;
    }
    for (unsigned e = 0; e < l.count; e++) {
        unsigned highest = n.extractBits(l.size, e * l.size).getActiveBits();
        unsigned zeros = highest > 0 && i->getOpcode() == Instruction::Mul
                             ? knownLane(other, e, dl).countMinTrailingZeros() / 8
                             : 0;
        for (unsigned b = 0; b < l.size; b++)
            r.setBitVal(e * l.size + b, b + zeros < highest);
    }
    return r;
}

APInt demand::ofCast(const CastInst *i, const APInt &n) const
{
    const Value *v = i->getOperand(0);
    Layout to = layoutOf(i->getType()), from = layoutOf(v->getType());
    APInt r = none(v);
    if (isa<BitCastInst>(i))
        return to.whole && from.whole && to.bytes() == from.bytes() ? n : all(v);
    for (unsigned e = 0; e < to.count; e++) {
        APInt lane = n.extractBits(to.size, e * to.size);
        if (lane.isZero())
            continue;
        bool same = isa<TruncInst>(i) || isa<ZExtInst>(i) || isa<SExtInst>(i);
        for (unsigned b = 0; b < from.size; b++)
            r.setBitVal(e * from.size + b, !same || (b < to.size && lane[b]));
        if (isa<SExtInst>(i) && lane.getActiveBits() > from.size)
            r.setBit(e * from.size + from.size - 1);
    }
    return r;
}

APInt demand::ofShuffle(const ShuffleVectorInst *i, unsigned k, const APInt &n) const
{
    const Value *v = i->getOperand(k);
    Layout from = layoutOf(v->getType());
    APInt r = none(v);
    ArrayRef<int> mask = i->getShuffleMask();
    for (unsigned e = 0; e < mask.size(); e++) {
        unsigned lane = (unsigned)mask[e] - k * from.count;
        if (mask[e] >= 0 && lane < from.count)
            r.insertBits(r.extractBits(from.size, lane * from.size) |
                             n.extractBits(from.size, e * from.size),
                         lane * from.size);
    }
    return r;
}

// extractelement and insertelement
APInt demand::ofElement(const Instruction *i, unsigned k, const APInt &n) const
{
    const Value *v = i->getOperand(k);
    bool insert = isa<InsertElementInst>(i);
    const auto *c = dyn_cast<ConstantInt>(i->getOperand(insert ? 2 : 1));
    Layout l = layoutOf(i->getOperand(0)->getType());
    if (!c || c->getValue().uge(l.count) || k == (insert ? 2u : 1u))
        return all(v);
    unsigned at = (unsigned)c->getZExtValue() * l.size;
    APInt r = none(v);
    if (!insert) {
        r.insertBits(n, at);
    } else if (k == 1) {
        r = n.extractBits(l.size, at);
    } else {
        r = n;
        r.insertBits(APInt::getZero(l.size), at);
    }
    return r;
}

// Each lane of the result comes from the same lane of the operands.
APInt demand::ofLanes(const Instruction *i, unsigned k, const APInt &n) const
{
    const Value *v = i->getOperand(k);
    Layout to = layoutOf(i->getType()), from = layoutOf(v->getType());
    if (!v->getType()->isVectorTy() || from.count != to.count)
        return all(v);
    APInt r = none(v);
    for (unsigned e = 0; e < to.count; e++)
        if (!n.extractBits(to.size, e * to.size).isZero())
            r.setBits(e * from.size, (e + 1) * from.size);
    return r;
}

// As ofLanes, but for lanes where the bits that are known decide, and comparisons that are of the sign.
APInt demand::ofCompare(const ICmpInst *i, unsigned k, const APInt &n) const
{
    const Value *a = i->getOperand(0), *b = i->getOperand(1);
    const auto *c = dyn_cast<Constant>(b);
    APInt open = n;
    if (!a->getType()->isIntOrIntVectorTy())
        return all(a);
    if (a->getType()->isVectorTy())
        for (unsigned e = 0; e < n.getBitWidth(); e++)
            if (n[e] && isDecided(i->getPredicate(), knownLane(a, e, dl), knownLane(b, e, dl)))
                open.clearBit(e);
    bool sign = c && k == 0 &&
                ((i->getPredicate() == CmpInst::ICMP_SLT && c->isNullValue()) ||
                 (i->getPredicate() == CmpInst::ICMP_SGT && c->isAllOnesValue()));
    unsigned size = layoutOf(a->getType()).size;
    APInt r = none(a);
    if (sign && isSignKnown(a, dl))
        return r;
    for (unsigned e = 0; e < n.getBitWidth(); e++)
        if (open[e])
            r.setBits(sign ? (e + 1) * size - 1 : e * size, (e + 1) * size);
    return r;
}

// By how much a rotation turns: selection takes the lowest byte.
static bool isTurn(const Instruction *i, unsigned k)
{
    const auto *c = dyn_cast<IntrinsicInst>(i);
    return c && k == 2 &&
           (c->getIntrinsicID() == Intrinsic::fshl || c->getIntrinsicID() == Intrinsic::fshr);
}

// Does it shift, or rotate, copies of one bit into their own places? By how much is the same then.
static bool shiftsTheSign(const Instruction *i, unsigned k, const DataLayout &dl)
{
    bool rotates = isTurn(i, k) && i->getOperand(0) == i->getOperand(1);
    bool shifts = k == 1 && i->getOpcode() == Instruction::AShr;
    return (rotates || shifts) &&
           ComputeNumSignBits(i->getOperand(0), dl) == i->getType()->getScalarSizeInBits();
}

// n: of the result of i, not zero
APInt demand::ofOperand(const Instruction *i, unsigned k, const APInt &n) const
{
    const Value *v = i->getOperand(k);
    if ((ranges && ranges->mayIgnore(*i, k)) || shiftsTheSign(i, k, dl))
        return none(v);
    switch (i->getOpcode()) {
    case Instruction::And:
    case Instruction::Or:
    case Instruction::Xor:
    case Instruction::Add:
    case Instruction::Sub:
    case Instruction::Mul:
        return ofArithmetic(cast<BinaryOperator>(i), k, n);
    case Instruction::Shl:
    case Instruction::LShr:
    case Instruction::AShr:
        return k == 0 ? ofShift(cast<BinaryOperator>(i), n) : ofLanes(i, k, n);
    case Instruction::PHI:
    case Instruction::Freeze:
        return n;
    case Instruction::Select:
        return k > 0 ? n : ofLanes(i, k, n);
    case Instruction::ShuffleVector:
        return ofShuffle(cast<ShuffleVectorInst>(i), k, n);
    case Instruction::ExtractElement:
    case Instruction::InsertElement:
        return ofElement(i, k, n);
    case Instruction::Call: {
        const auto *c = dyn_cast<IntrinsicInst>(i);
        if (isTurn(i, k))
            return ofLanes(i, k, n) & lowestBytes(v);
        return c && isTriviallyVectorizable(c->getIntrinsicID()) ? ofLanes(i, k, n) : all(v);
    }
    case Instruction::ICmp:
        return ofCompare(cast<ICmpInst>(i), k, n);
    default:
        if (const auto *c = dyn_cast<CastInst>(i))
            return ofCast(c, n);
        return isa<BinaryOperator>(i) || isa<UnaryOperator>(i) || isa<CmpInst>(i) ? ofLanes(i, k, n)
                                                                                  : all(v);
    }
}

// What a poll would save: passes over loops move polls, and take them out of iterations.
static bool isKeptForPoll(const Instruction *user, unsigned k)
{
    const auto *c = dyn_cast<CallBase>(user);
    const Function *f = c ? c->getCalledFunction() : nullptr;
    return f && f->getName() == "capture" && c->isBundleOperand(k);
}

APInt demand::ofUse(const Instruction *user, unsigned k) const
{
    const Value *v = user->getOperand(k);
    if (const auto *s = dyn_cast<StoreInst>(user))
        return k == 0 && s->isSimple() && (storesBack(*s) || isOverwritten(*s) || isPerLoop(*s))
                   ? none(v)
                   : all(v);
    const auto *l = dyn_cast<LoadInst>(user);
    if ((ranges && isKeptForPoll(user, k)) || (idle && idle->isIdle(*user)))
        return none(v);
    if (demand_has_effect(wrap(user)) || (l && l->isVolatile()))
        return all(v);
    APInt n = of(user);
    return n.isZero() ? none(v) : ofOperand(user, k, n);
}

// ---- all of them ----

// Of a vector selection knows bytes lane by lane, and puts constants in their place. Scalars that are known are
// constants already.
const APInt &demand::openOf(const Instruction *i)
{
    auto [at, is_new] = open.try_emplace(i, all(i));
    Layout l = layoutOf(i->getType());
    if (!is_new || !l.whole || !i->getType()->isIntOrIntVectorTy() || !i->getType()->isVectorTy())
        return at->second;
    for (unsigned e = 0; e < l.count; e++) {
        KnownBits known = knownLane(i, e, dl);
        APInt bits = known.Zero | known.One;
        for (unsigned b = 0; b < l.size; b++)
            if (bits.extractBits(8, b * 8).isAllOnes())
                at->second.clearBit(e * l.size + b);
    }
    return at->second;
}

void demand::need(const Value *v, const APInt &bytes)
{
    const auto *i = dyn_cast<Instruction>(v);
    if (!i || bytes.isZero())
        return;
    APInt found = bytes & openOf(i);
    if (found.isZero())
        return;
    auto [at, is_new] = needed.try_emplace(i, found);
    if (!is_new && found.isSubsetOf(at->second))
        return;
    at->second |= found;
    work.push_back(i);
}

void demand::visit(const Instruction *i)
{
    for (unsigned k = 0; k < i->getNumOperands(); k++)
        if (isa<Instruction>(i->getOperand(k)))
            need(i->getOperand(k), ofUse(i, k));
}

void demand::run()
{
    for (const Instruction &i : instructions(fn)) {
        const auto *l = dyn_cast<LoadInst>(&i);
        if (demand_has_effect(wrap(&i)) || (l && l->isVolatile()))
            visit(&i);
    }
    SmallVector<const Instruction *, 16> ends;
    do {
        while (!work.empty()) {
            const Instruction *i = work.back();
            work.pop_back();
            visit(i);
        }
        ends.clear();
        if (idle)
            idle->settle(
                [&](const Use &u) {
                    return !ofUse(cast<Instruction>(u.getUser()), u.getOperandNo()).isZero();
                },
                ends);
        for (const Instruction *end : ends)
            visit(end);
    } while (!ends.empty());
}

struct demand *demand_new(LLVMValueRef fn, bool loop_passes)
{
    return new demand(*unwrap<Function>(fn), loop_passes);
}

void demand_free(struct demand *d)
{
    delete d;
}

LLVMBasicBlockRef demand_block(const struct demand *d, size_t k)
{
    return k < d->order.size() ? wrap(d->order[k]) : nullptr;
}

bool demand_has_effect(LLVMValueRef instruction)
{
    const auto *i = unwrap<Instruction>(instruction);
    if (i->isTerminator())
        return true;
    if (isa<StoreInst>(i) || isa<FenceInst>(i) || isa<AtomicRMWInst>(i) ||
        isa<AtomicCmpXchgInst>(i))
        return true;
    if (const auto *l = dyn_cast<LoadInst>(i))
        return l->isAtomic();
    const auto *c = dyn_cast<CallBase>(i);
    return c && (!(c->isInlineAsm() || isa<IntrinsicInst>(c)) || c->getType()->isVoidTy());
}

bool demand_any(const struct demand *d, LLVMValueRef instruction)
{
    return !d->of(unwrap<Instruction>(instruction)).isZero();
}

bool demand_use(const struct demand *d, LLVMUseRef use)
{
    const Use *u = unwrap(use);
    return !d->ofUse(cast<Instruction>(u->getUser()), u->getOperandNo()).isZero();
}

bool demand_next_iteration(const struct demand *d, LLVMValueRef phi, LLVMBasicBlockRef from)
{
    const auto *p = unwrap<PHINode>(phi);
    const Loop *loop = d->ranges ? d->ranges->loops().getLoopFor(p->getParent()) : nullptr;
    return !loop || loop->getHeader() != p->getParent() || !loop->contains(unwrap(from)) ||
           d->isUsedAround(*loop, *p);
}

bool demand_last_byte(const struct demand *d, LLVMValueRef load)
{
    return d->of(unwrap<Instruction>(load)).isSignBitSet();
}
