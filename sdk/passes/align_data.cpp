#include <llvm/IR/Constants.h>
#include <llvm/IR/Module.h>

#include "passes.h"

using namespace llvm;

static const uint64_t LARGE_BYTES = 256; // so at most a fifth of the memory is lost between them
static const Align LINE(64);

// String literals are merged by the linker, those of several objects too, as long as nothing is asked of their place.
static bool is_literal(const GlobalVariable &g)
{
    const auto *text = dyn_cast<ConstantDataSequential>(g.getInitializer());

    return text && text->isCString() && g.hasGlobalUnnamedAddr();
}

// Not so: weak objects, since the linker may take a definition that knows of no line, while code believes what stands
// here; sections of the program's own, which may be read as an array; those of a thread, which the linker lays out.
static bool is_movable(const GlobalVariable &g)
{
    return g.canIncreaseAlignment() && !g.hasSection() && !g.isThreadLocal() &&
           !g.hasAppendingLinkage() && !is_literal(g);
}

PreservedAnalyses AlignData::run(Module &m, ModuleAnalysisManager &)
{
    for (GlobalVariable &g : m.globals())
        if (is_movable(g) && m.getDataLayout().getTypeAllocSize(g.getValueType()) >= LARGE_BYTES)
            g.setAlignment(std::max(LINE, g.getAlign().valueOrOne()));
    return PreservedAnalyses::all();
}

bool AlignData::isRequired()
{
    return true;
}
