#ifndef CELL_AOT_PLACE_H
#define CELL_AOT_PLACE_H

// Where loads and stores are made, as far as addresses say: bytes from off to end, counted from base, or from base and
// index. Addresses count as if they did not wrap around, since passes may find that they do not. So two places that are
// the same here may still differ. C++: LLVM's C interface does not see through addresses.
#include <cstdint>

#include <llvm/IR/DataLayout.h>
#include <llvm/IR/Value.h>

// The same value, also where it is computed twice.
bool is_same_value(const llvm::Value *a, const llvm::Value *b);

struct Place {
    const llvm::Value *base, *index; // index: in bytes, or NULL
    int64_t off, end;

    // type: of what is there; NULL: none
    Place(const llvm::Value *pointer, llvm::Type *type, const llvm::DataLayout &dl);

    bool isFrom(const Place &p) const
    {
        return base == p.base && index == p.index;
    }
    bool isWithin(const Place &p) const
    {
        return isFrom(p) && off >= p.off && end <= p.end;
    }
    bool meets(const Place &p) const
    {
        return isFrom(p) && off < p.end && p.off < end;
    }
};

#endif
