#ifndef CELL_AOT_RANGES_H
#define CELL_AOT_RANGES_H

// What passes over loops and branches may yet find out of integers: between which numbers they are, and which are
// constants in the copies of a loop's body that unrolling makes. See docs/internals/traps.md. C++: LLVM's C interface
// has no scalar evolution.
#include <llvm/ADT/DenseMap.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LazyValueInfo.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/IR/ConstantRange.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>

// Of a function that is not changed meanwhile.
class Ranges
{
    static const unsigned ITERATIONS_MAX = 512; // of a loop that may be unrolled whole

    // The constants that passes may put in the place of a value; none: empty. Some only appear when something else is
    // computed of them: a counter of many iterations is no constant in a copy of the body, but its lowest bit is.
    struct Guess {
        llvm::ConstantRange values;
        bool is_shown;

        bool has(const llvm::APInt &n) const
        {
            return is_shown && values.contains(n);
        }
        bool any() const
        {
            return is_shown && !values.isEmptySet();
        }
    };

    const llvm::DataLayout &layout;
    llvm::DominatorTree dom;
    llvm::LoopInfo loop_info;
    llvm::AssumptionCache assumptions;
    llvm::TargetLibraryInfoImpl functions;
    llvm::TargetLibraryInfo library;
    llvm::ScalarEvolution scev;
    llvm::LazyValueInfo at_uses;
    llvm::DenseMap<const llvm::Value *, Guess> guesses;
    unsigned work =
        0; // of the answer that is being made: counters that depend on each other are looked at again

  public:
    explicit Ranges(llvm::Function &f);

    const llvm::DominatorTree &dominators() const
    {
        return dom;
    }
    const llvm::LoopInfo &loops() const
    {
        return loop_info;
    }
    // Has it so few iterations that it may be unrolled whole?
    bool isShort(const llvm::Loop &loop)
    {
        unsigned count = scev.getSmallConstantMaxTripCount(&loop);
        return count > 0 && count <= ITERATIONS_MAX;
    }
    // May the result turn out not to depend on operand k?
    bool mayIgnore(const llvm::Instruction &i, unsigned k);

  private:
    llvm::ConstantRange rangeOf(const llvm::Value *v);
    Guess guess(const llvm::Value *v, unsigned depth = 0);
    Guess guessOf(const llvm::Instruction &i, unsigned depth);
    Guess guessOfPhi(const llvm::PHINode &phi, unsigned depth);
    Guess guessOfHeader(const llvm::PHINode &phi, const llvm::Loop &loop, unsigned depth);
    Guess guessOfArithmetic(const llvm::BinaryOperator &i, unsigned depth);
    llvm::ConstantRange absorbed(const llvm::BinaryOperator &i, unsigned k, const Guess &of);
    bool isDecided(const llvm::ICmpInst &i);
    bool mayIgnoreCompared(const llvm::ICmpInst &i, unsigned k);
    bool mayBeDecided(const llvm::Value *condition, unsigned depth = 0);
    bool mayIgnoreArithmetic(const llvm::BinaryOperator &i, unsigned k);
};

#endif
