// A pass plugin for the guests' clang: large objects of static storage begin at a cache line.
//
// Natively LLVM's vectoriser raises the alignment of what it accesses by vectors. Here it sees the program when its
// layout is fixed, and half of the accesses by 32 bytes to an object at 16 cross a line. See docs/internals/sysroot.md.
#include <llvm/IR/Module.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Passes/PassPlugin.h>

using namespace llvm;

namespace
{

const uint64_t LARGE_BYTES = 256; // so at most a fifth of the memory is lost between them
const Align LINE(64);

// String literals are merged by the linker, those of several objects too, as long as nothing is asked of their place.
bool is_literal(const GlobalVariable &g)
{
    const auto *text = dyn_cast<ConstantDataSequential>(g.getInitializer());

    return text && text->isCString() && g.hasGlobalUnnamedAddr();
}

// Not so: weak objects, since the linker may take a definition that knows of no line, while code believes what stands
// here; sections of the program's own, which may be read as an array; those of a thread, which the linker lays out.
bool is_movable(const GlobalVariable &g)
{
    return g.canIncreaseAlignment() && !g.hasSection() && !g.isThreadLocal() &&
           !g.hasAppendingLinkage() && !is_literal(g);
}

struct AlignData : PassInfoMixin<AlignData> {
    PreservedAnalyses run(Module &m, ModuleAnalysisManager &)
    {
        for (GlobalVariable &g : m.globals())
            if (is_movable(g) &&
                m.getDataLayout().getTypeAllocSize(g.getValueType()) >= LARGE_BYTES)
                g.setAlignment(std::max(LINE, g.getAlign().valueOrOne()));
        return PreservedAnalyses::all();
    }

    static bool isRequired() // at -O0 as well
    {
        return true;
    }
};

void register_pass(PassBuilder &builder)
{
    builder.registerPipelineStartEPCallback(
        [](ModulePassManager &passes, OptimizationLevel) { passes.addPass(AlignData()); });
}

} // namespace

extern "C" __attribute__((visibility("default"))) PassPluginLibraryInfo llvmGetPassPluginInfo()
{
    return {LLVM_PLUGIN_API_VERSION, "align-data", "1", register_pass};
}
