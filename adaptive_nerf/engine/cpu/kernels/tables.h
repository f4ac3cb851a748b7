// The gradient of the tables, and lazy Adam on the touched entries. One thread owns a level of a slot: no atomics, no
// private copies, the same bits every time; and what was just added up is still in the cache when it is used.
#pragma once
#include "table_steps.h"

template <int kCount, class Number>
inline bool all_zero(const Number* from) {
    uint16_t bits[kCount * sizeof(Number) / 2], some = 0;
    memcpy(bits, from, sizeof bits);
    for (uint16_t each : bits) some |= each;
    return some == 0;
}

template <int kFeatures, class Number>
inline void scatter_level(const TableArgs& a, const Pending& from, const Level& level, int64_t number,
                          const Piece& piece, LevelGradient to) {
    typedef typename Few<kFeatures>::Type Features;
    const int shift = a.line == 8 ? 3 : a.line == 4 ? 2 : 1;
    const Number* gradient = static_cast<const Number*>(from.features) + number * from.features_stride;
    for_places<1>({from.local, from.local_stride}, level, to.total, kFeatures, piece.begin, piece.end,
                  [&](int64_t place, int i, const Corners& corners) {
                      if (all_zero<kFeatures>(gradient + place * kFeatures)) return;  // behind what is opaque
                      const Features given = get<kFeatures>(gradient + place * kFeatures);
                      for (int corner = 0; corner < 8; ++corner) {
                          float* entry = to.total + int64_t(corners.index[corner][i]) * kFeatures;
                          store(entry, load<Features>(entry) + given * corners.weight[corner][i]);
                      }
                      if (to.touched)
                          for (int corner = 0; corner < 8; ++corner) to.touched[corners.index[corner][i] >> shift] = 1;
                  });
}

template <class Number>
inline void scatter_level_any(const TableArgs& a, const Pending& from, const Level& level, int64_t number,
                              const Piece& piece, LevelGradient to) {
    const int64_t width = a.n_features;
    const Number* gradient = static_cast<const Number*>(from.features) + number * from.features_stride;
    for_places<1>({from.local, from.local_stride}, level, to.total, int(width), piece.begin, piece.end,
                  [&](int64_t place, int i, const Corners& corners) {
                      for (int corner = 0; corner < 8; ++corner) {
                          const int64_t index = corners.index[corner][i];
                          for (int64_t f = 0; f < width; ++f)
                              to.total[index * width + f] +=
                                  get<1>(gradient + place * width + f)[0] * corners.weight[corner][i];
                          if (to.touched) to.touched[index / a.line] = 1;
                      }
                  });
}

template <class Number>
inline void scatter_piece(const TableArgs& a, const Pending& from, const Level& level, int64_t number,
                          const Piece& piece, LevelGradient to) {
    switch (a.n_features) {
        case 2: scatter_level<2, Number>(a, from, level, number, piece, to); break;
        case 4: scatter_level<4, Number>(a, from, level, number, piece, to); break;
        case 8: scatter_level<8, Number>(a, from, level, number, piece, to); break;
        default: scatter_level_any<Number>(a, from, level, number, piece, to);
    }
}

// Many samples touch nearly all lines: then it is cheaper to look at every line than to note each touch.
inline bool touches_nearly_all(const TableArgs& a, const Level& level, int64_t slot) {
    int64_t samples = 0;
    for (int64_t p = 0; p < a.n_pending; ++p)
        for (int64_t k = 0; k < a.pending[p].n_pieces; ++k)
            if (a.pending[p].pieces[k].slot == slot) samples += a.pending[p].pieces[k].end - a.pending[p].pieces[k].begin;
    return samples * 4 >= level.size / a.line;
}

inline void update_level(const TableArgs& a, const Level& level, int64_t number, int64_t slot, LevelGradient gradient) {
    LevelGradient to = gradient;
    if (a.total && a.fresh) memset(gradient.total, 0, size_t(level.size * a.n_features) * 4);
    if (gradient.touched && touches_nearly_all(a, level, slot)) {
        memset(gradient.touched, 1, size_t(level.size / a.line));
        to.touched = nullptr;
    }
    for (int64_t p = 0; p < a.n_pending; ++p)
        for (int64_t k = 0; k < a.pending[p].n_pieces; ++k)
            if (const Pending& from = a.pending[p]; from.pieces[k].slot == slot)
                from.half ? scatter_piece<uint16_t>(a, from, level, number, from.pieces[k], to)
                          : scatter_piece<float>(a, from, level, number, from.pieces[k], to);
    if (!a.values) return;
    const int64_t at = (slot * a.rows + level.offset) * a.n_features;
    if (!a.first) {
        lazy_level(a, level, {a.values + at, nullptr, nullptr}, gradient, a.rates[slot * a.n_levels + number]);
        return;
    }
    const LevelState state{a.values + at, a.first + at, a.second + at};
    if (a.lazy) lazy_level(a, level, state, gradient, a.rates[slot]);
    else dense_adam_level(a, level, state, gradient, a.rates[slot]);
}

extern "C" {
// Adds up what is pending; where `values` are given, also takes the step and clears the gradient.
void update_tables(TableArgs* args) {
    const TableArgs& a = *args;
    const bool marks = a.touched && (a.lazy || !a.values);
    LevelGradient own{};
    if (!a.total) {
        const int64_t worker = take(&args->n_workers, a.n_scratch);
        if (worker < 0) return;
        own = {a.scratch + worker * a.largest * a.n_features,
               a.lazy ? a.scratch_touched + worker * (a.largest / a.line) : nullptr};
    }
    for (int64_t item; (item = take(&args->next, a.n_levels * a.n_slots)) >= 0;) {
        const int64_t number = a.n_levels - 1 - item / a.n_slots, slot = item % a.n_slots;  // the large ones first
        const Level& level = a.levels[number];
        const int64_t entry = slot * a.rows + level.offset;
        update_level(a, level, number, slot,
                     a.total ? LevelGradient{a.total + entry * a.n_features, marks ? a.touched + entry / a.line : nullptr}
                             : own);
    }
}
}
