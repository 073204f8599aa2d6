// Addresses in 64 bits: see docs/internals/addresses.md.
//
// An address in wasm is a 32-bit sum that may wrap, so what LLVM sees is zext(base + 8 * i): neither the induction
// variable nor a constant can be taken out of the zext, and each access costs its own additions. But no memory has
// more than 4 GiB - 64 KiB (WASM_PAGES_CAP), so an access that did not trap says: address + 64 KiB does not wrap. Two
// rules follow.
//   near  Where an access of p was executed, zext(p + d) = zext(p) + d for 0 <= d < 64 KiB, also for a d that varies.
//   loop  Where each iteration accesses p = {s, +, c} with 0 < c < 64 KiB, zext(p) = {zext(s), +, c}.
// Both are equalities of values, so that nothing about traps changes.
#include "wide.h"
#include "proven.h"

#include <map>
#include <vector>

#include <llvm/ADT/PostOrderIterator.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/Transforms/Utils/ScalarEvolutionExpander.h>

using namespace llvm;

namespace
{

const uint64_t MARGIN_BYTES = 65536;
const unsigned LOOK_AHEAD_MAX = 256; // instructions

// One access of guest memory at base + zext(index) + off.
struct Access {
    Instruction *at;
    unsigned operand; // of the pointer
    Value *base;
    Value *index; // i32
    uint64_t off;
    const SCEV *rest; // of the index, without its constant
    int64_t constant; // its constant, as unsigned 32 bits
};

// A place whose 64-bit address is known: pointer = base + zext(index).
struct Anchor {
    Instruction *at;
    const Loop *within; // for one iteration of it
    Value *pointer;
    int64_t constant;
    uint64_t off; // largest offset of the access: how much further the proof reaches
};

class Widener
{
    Function &fn;
    DominatorTree &dom;
    LoopInfo &loops;
    ScalarEvolution &scev;
    SCEVExpander expander;
    std::map<std::pair<Value *, const SCEV *>, std::vector<Anchor>> anchors;
    std::map<std::pair<Loop *, uint64_t>, Value *> counters, scaledCounters;
    Type *i8, *i32, *i64;
    bool changed = false;

  public:
    Widener(Function &f, FunctionAnalysisManager &am)
        : fn(f), dom(am.getResult<DominatorTreeAnalysis>(f)), loops(am.getResult<LoopAnalysis>(f)),
          scev(am.getResult<ScalarEvolutionAnalysis>(f)), expander(scev, f.getDataLayout(), "wide"),
          i8(Type::getInt8Ty(f.getContext())), i32(Type::getInt32Ty(f.getContext())),
          i64(Type::getInt64Ty(f.getContext()))
    {
    }

    bool run();

  private:
    bool match(Instruction &i, Access &a);
    const SCEV *split(const SCEV *s, int64_t &constant);
    void split(Access &a);
    const Anchor *proof(const Access &a, const SCEV *rest, uint64_t most, uint64_t &distance);
    const SCEV *bounded(const SCEV *rest, uint64_t &most);
    bool nearAnchor(const Access &a);
    Access lowest(const Access &a);
    Value *loopPointer(const Access &a);
    Value *counter(Loop *loop, uint64_t step);
    Value *plainPointer(const Access &a, const Access &low);
    void replace(const Access &a, Value *pointer, uint64_t distance);
    void handle(const Access &a);
};

bool Widener::match(Instruction &i, Access &a)
{
    if (!(isa<LoadInst>(i) || isa<StoreInst>(i)) || !is_guest_access(i))
        return false;
    a.at = &i;
    a.operand = isa<LoadInst>(i) ? LoadInst::getPointerOperandIndex()
                                 : StoreInst::getPointerOperandIndex();
    a.off = 0;
    for (Value *p = i.getOperand(a.operand);;) {
        auto *gep = dyn_cast<GetElementPtrInst>(p);
        if (!gep || gep->getNumIndices() != 1 || gep->getSourceElementType() != i8)
            return false;
        Value *index = gep->getOperand(1);
        p = gep->getPointerOperand();
        if (auto *c = dyn_cast<ConstantInt>(index)) {
            if (c->isNegative())
                return false;
            a.off += c->getZExtValue();
        } else if (auto *z = dyn_cast<ZExtInst>(index)) {
            if (z->getSrcTy() != i32)
                return false;
            a.index = z->getOperand(0);
            a.base = p;
            return !isa<GetElementPtrInst>(p);
        } else {
            return false;
        }
    }
}

// The constant that a sum begins with, or a counter of a loop outside that is a part of it; or null.
const SCEVConstant *constant_in(const SCEV *s)
{
    while (const auto *rec = dyn_cast<SCEVAddRecExpr>(s))
        s = rec->getStart();
    const auto *sum = dyn_cast<SCEVAddExpr>(s);
    if (!sum)
        return dyn_cast<SCEVConstant>(s);
    for (const SCEV *part : sum->operands()) // a constant stands first
        if (isa<SCEVConstant, SCEVAddRecExpr>(part))
            if (const SCEVConstant *c = constant_in(part))
                return c;
    return nullptr;
}

// The sum as rest + constant.
const SCEV *Widener::split(const SCEV *s, int64_t &constant)
{
    const SCEVConstant *c = constant_in(s);
    constant = c ? (int64_t)c->getAPInt().getZExtValue() : 0;
    return c ? scev.getMinusSCEV(s, c) : s;
}

void Widener::split(Access &a)
{
    a.rest = split(scev.getSCEV(a.index), a.constant);
}

// How far p + d lies above p, when that is less than can wrap; -1 otherwise.
int64_t above(int64_t from, int64_t to, uint64_t off)
{
    auto d = (int64_t)(uint32_t)(to - from);
    return (uint64_t)d < MARGIN_BYTES + off ? d : -1;
}

void Widener::replace(const Access &a, Value *pointer, uint64_t distance)
{
    IRBuilder<> b(a.at);
    uint64_t off = a.off + distance;
    a.at->setOperand(a.operand,
                     off ? b.CreateInBoundsGEP(i8, pointer, ConstantInt::get(i64, off)) : pointer);
    changed = true;
}

// An access before this one, in the same iteration of the loops around both, that proves rest + constant and what lies
// up to most bytes above.
const Anchor *Widener::proof(const Access &a, const SCEV *rest, uint64_t most, uint64_t &distance)
{
    auto found = anchors.find({a.base, rest});
    if (found == anchors.end())
        return nullptr;
    for (auto k = found->second.rbegin(); k != found->second.rend(); ++k) {
        int64_t d = above(k->constant, a.constant, k->off);
        if (d < 0 || (uint64_t)d + most >= MARGIN_BYTES + k->off || !dom.dominates(k->at, a.at) ||
            (k->within && !k->within->contains(a.at)))
            continue;
        distance = (uint64_t)d;
        return &*k;
    }
    return nullptr;
}

// What of a sum varies by less than can wrap, or null: the scaled bytes that index a table.
const SCEV *Widener::bounded(const SCEV *rest, uint64_t &most)
{
    const auto *sum = dyn_cast<SCEVAddExpr>(rest);
    const SCEV *varies = nullptr;
    most = 0;
    for (const SCEV *part : sum ? sum->operands() : ArrayRef<const SCEV *>()) {
        uint64_t max = scev.getUnsignedRangeMax(part).getZExtValue();
        if (max >= MARGIN_BYTES ||
            SCEVExprContains(part, [](const SCEV *s) { return isa<SCEVAddRecExpr>(s); }))
            continue;
        varies = varies ? scev.getAddExpr(varies, part) : part;
        most += max;
    }
    return varies;
}

bool Widener::nearAnchor(const Access &a)
{
    uint64_t distance, most;
    const Anchor *k = proof(a, a.rest, 0, distance);
    if (k) {
        replace(a, k->pointer, distance);
        return true;
    }
    const SCEV *varies = bounded(a.rest, most);
    if (!varies)
        return false;
    k = proof(a, scev.getMinusSCEV(a.rest, varies), most, distance);
    const SCEV *by = k ? scev.getZeroExtendExpr(varies, i64) : nullptr;
    if (!k || !expander.isSafeToExpand(by)) // what it is computed from is in front of the access
        return false;
    Value *index = expander.expandCodeFor(by, i64, a.at);
    IRBuilder<> b(a.at);
    Value *pointer = b.CreateInBoundsGEP(i8, k->pointer, index);
    replace(a, pointer, distance);
    Loop *within = loops.getLoopFor(a.at->getParent());
    anchors[{a.base, a.rest}].push_back({a.at, within, pointer, k->constant, a.off + distance});
    return true;
}

// The lowest address that is accessed for certain when this one is, with nothing between that anyone could see: were
// it to wrap below the other, it would trap.
Access Widener::lowest(const Access &a)
{
    Access low = a;
    if (a.at->mayWriteToMemory())
        return low;
    unsigned budget = LOOK_AHEAD_MAX;
    for (Instruction *i = a.at->getNextNode(); i && budget--; i = i->getNextNode()) {
        Access next;
        if (match(*i, next) && next.base == a.base) {
            split(next);
            // next lies below low, near enough for its access to prove low
            if (next.rest == a.rest && above(next.constant, low.constant, next.off) > 0 &&
                above(next.constant, a.constant, next.off) > 0) {
                low.constant = next.constant;
                low.off = next.off;
            }
        }
        if (i->mayWriteToMemory() || i->isTerminator() ||
            !(isa<LoadInst>(i) || isGuaranteedToTransferExecutionToSuccessor(i)))
            break;
    }
    return low;
}

// {0, +, step} in 64 bits, one per loop and step. Steps that an address mode can scale share one.
Value *Widener::counter(Loop *loop, uint64_t step)
{
    if (step == 2 || step == 4 || step == 8) {
        IRBuilder<> b(&*loop->getHeader()->getFirstInsertionPt());
        Value *&scaled = scaledCounters[{loop, step}];
        if (!scaled)
            scaled = b.CreateShl(counter(loop, 1), Log2_64(step), "", true, true);
        return scaled;
    }
    Value *&known = counters[{loop, step}];
    if (known)
        return known;
    BasicBlock *header = loop->getHeader(), *latch = loop->getLoopLatch();
    IRBuilder<> b(&header->front());
    PHINode *phi = b.CreatePHI(i64, 2, "at");
    IRBuilder<> end(latch->getTerminator());
    Value *next = end.CreateAdd(phi, ConstantInt::get(i64, step), "", true, true);
    phi->addIncoming(ConstantInt::get(i64, 0), loop->getLoopPreheader());
    phi->addIncoming(next, latch);
    return known = phi;
}

// base + zext({s, +, c}) as (base + zext(s)) + {0, +, c}, where each iteration proves the next.
Value *Widener::loopPointer(const Access &low)
{
    const SCEV *s = scev.getAddExpr(low.rest, scev.getConstant(i32, (uint64_t)low.constant));
    const auto *rec = dyn_cast<SCEVAddRecExpr>(s);
    if (!rec || !rec->isAffine())
        return nullptr;
    auto *loop = const_cast<Loop *>(rec->getLoop());
    const auto *step = dyn_cast<SCEVConstant>(rec->getStepRecurrence(scev));
    BasicBlock *latch = loop->getLoopLatch(), *before = loop->getLoopPreheader();
    if (!step || !latch || !before || !loop->contains(low.at) ||
        !dom.dominates(low.at->getParent(), latch))
        return nullptr;
    uint64_t c = step->getAPInt().getZExtValue();
    Instruction *end = before->getTerminator();
    auto *base = dyn_cast<Instruction>(low.base);
    if (c == 0 || c >= MARGIN_BYTES || (base && !dom.dominates(base, end)) ||
        !expander.isSafeToExpandAt(rec->getStart(), end))
        return nullptr;
    Value *start = expander.expandCodeFor(rec->getStart(), i32, end);
    IRBuilder<> b(end);
    Value *first = b.CreateInBoundsGEP(i8, low.base, b.CreateZExt(start, i64));
    int64_t constant;
    const SCEV *rest = split(rec->getStart(), constant);
    anchors[{low.base, rest}].push_back({low.at, loop->getParentLoop(), first, constant, low.off});
    Value *at = counter(loop, c);
    IRBuilder<> here(low.at);
    return here.CreateInBoundsGEP(i8, first, at);
}

// base + zext(index), of the lower address.
Value *Widener::plainPointer(const Access &a, const Access &low)
{
    IRBuilder<> b(a.at);
    uint32_t d = (uint32_t)(low.constant - a.constant);
    Value *index = d ? b.CreateAdd(a.index, ConstantInt::get(i32, d)) : a.index;
    return b.CreateInBoundsGEP(i8, a.base, b.CreateZExt(index, i64));
}

void Widener::handle(const Access &a)
{
    if (nearAnchor(a))
        return;
    Access low = lowest(a);
    Value *pointer = loopPointer(low);
    auto d = (uint32_t)(a.constant - low.constant);
    if (!pointer)
        pointer = plainPointer(a, low);
    replace(a, pointer, d);
    Loop *within = loops.getLoopFor(a.at->getParent());
    anchors[{a.base, a.rest}].push_back({a.at, within, pointer, low.constant, low.off});
}

bool Widener::run()
{
    // SCEV is asked for all first: what is rewritten stands for the same values.
    std::vector<Access> all;
    ReversePostOrderTraversal<Function *> order(&fn);
    for (BasicBlock *bb : order)
        for (Instruction &i : *bb) {
            Access a;
            if (match(i, a)) {
                split(a);
                all.push_back(a);
            }
        }
    for (const Access &a : all)
        handle(a);
    return changed;
}

} // namespace

PreservedAnalyses WideAddresses::run(Function &fn, FunctionAnalysisManager &analyses)
{
    Widener w(fn, analyses);
    if (!w.run())
        return PreservedAnalyses::all();
    PreservedAnalyses kept;
    kept.preserveSet<CFGAnalyses>();
    return kept;
}
