// The whole library: one translation unit. Every operation takes a struct of arguments, which several threads may be
// given at once; library.py mirrors the structs.
#include "composite.h"
#include "dense.h"
#include "field.h"
#include "march.h"
#include "occupancy.h"
#include "surfaces.h"
#include "tables.h"

extern "C" {
// So that the mirrors can be checked when the library is loaded.
int64_t size_of_arguments(int64_t which) {
    const int64_t sizes[] = {sizeof(Piece),     sizeof(Level),         sizeof(EncodeArgs), sizeof(Pending), sizeof(TableArgs),
                             sizeof(FieldArgs), sizeof(CompositeArgs), sizeof(Region),     sizeof(MarchArgs), sizeof(AdamArgs),
                             sizeof(SurfaceArgs), sizeof(ObserveArgs), sizeof(RebuildArgs)};
    return which < int64_t(sizeof sizes / sizeof sizes[0]) ? sizes[which] : -1;
}
}
