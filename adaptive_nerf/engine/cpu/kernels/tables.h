// The gradient of the tables, and lazy Adam on the touched entries. One thread owns a level of a slot: no atomics, no
// private copies, the same bits every time; and what was just added up is still in the cache when it is used.
#pragma once
#include "encode.h"

struct Pending {  // what a backward put aside
    const float* local;  // [3][n]
    int64_t local_stride;
    const float* features;  // gradient, [levels][n][F]
    int64_t features_stride;
    const Piece* pieces;
    int64_t n_pieces;
};

struct TableArgs {
    int64_t next;
    const Pending* pending;
    int64_t n_pending;
    const Level* levels;
    int64_t n_levels, n_features, rows, n_slots;
    int64_t line;      // entries that share a mark in `touched`
    float* total;      // [n_slots][rows][F], the gradient
    uint8_t* touched;  // [n_slots][rows / line], or null: not wanted
    float* values;     // [n_slots][rows][F] to optimise, or null: add up only
    float* first;      // running mean of the gradient
    float* second;     // and of its square
    const float* rates;  // [n_slots]
    float beta1, beta2, epsilon;
    float spread;        // of a dense step: 1 / sqrt(1 - beta2^step); rates are over 1 - beta1^step
};

template <int kFeatures>
inline void scatter_level(const TableArgs& a, const Pending& from, const Level& level, int64_t number,
                          const Piece& piece, bool marked) {
    typedef typename Entry<kFeatures>::Type Features;
    const int64_t entry = piece.slot * a.rows + level.offset;
    float* table = a.total + entry * kFeatures;
    uint8_t* touched = a.touched && !marked ? a.touched + entry / a.line : nullptr;
    const int shift = a.line == 8 ? 3 : a.line == 4 ? 2 : 1;
    const float* gradient = from.features + number * from.features_stride;
    for_blocks<1>({from.local, from.local_stride}, level, table, kFeatures, piece.begin, piece.end,
                  [&](int64_t at, int count, const Corners& corners) {
                      for (int i = 0; i < count; ++i) {
                          const Features given = load<Features>(gradient + (at + i) * kFeatures);
                          for (int corner = 0; corner < 8; ++corner) {
                              float* to = table + int64_t(corners.index[corner][i]) * kFeatures;
                              store(to, load<Features>(to) + given * corners.weight[corner][i]);
                          }
                          if (touched)
                              for (int corner = 0; corner < 8; ++corner) touched[corners.index[corner][i] >> shift] = 1;
                      }
                  });
}

inline void scatter_level_any(const TableArgs& a, const Pending& from, const Level& level, int64_t number,
                              const Piece& piece, bool marked) {
    const int64_t width = a.n_features, entry = piece.slot * a.rows + level.offset;
    float* table = a.total + entry * width;
    uint8_t* touched = a.touched && !marked ? a.touched + entry / a.line : nullptr;
    const float* gradient = from.features + number * from.features_stride;
    for_blocks<1>({from.local, from.local_stride}, level, table, int(width), piece.begin, piece.end,
                  [&](int64_t at, int count, const Corners& corners) {
                      for (int i = 0; i < count; ++i)
                          for (int corner = 0; corner < 8; ++corner) {
                              const int64_t index = corners.index[corner][i];
                              for (int64_t f = 0; f < width; ++f)
                                  table[index * width + f] +=
                                      gradient[(at + i) * width + f] * corners.weight[corner][i];
                              if (touched) touched[index / a.line] = 1;
                          }
                  });
}

// One line of entries: those with a gradient take a step, and the gradient is zero again.
template <class Values>
inline void lazy_adam_at(const TableArgs& a, int64_t i, float rate) {
    if (!any(load<Values>(a.total + i))) return;
    const auto at = [i](float* memory) { return load<Values>(memory + i); };
    const Values gradient = at(a.total), old_first = at(a.first), old_second = at(a.second), old = at(a.values);
    const Values first = a.beta1 * old_first + (1 - a.beta1) * gradient;
    const Values second = a.beta2 * old_second + (1 - a.beta2) * gradient * gradient;
    const Values value = old - rate * first / (root(second) + a.epsilon);
    store(a.first + i, gradient != 0.0f ? first : old_first);
    store(a.second + i, gradient != 0.0f ? second : old_second);
    store(a.values + i, gradient != 0.0f ? value : old);
    store(a.total + i, Values{});
}

inline void lazy_adam_line(const TableArgs& a, int64_t begin, int64_t count, float rate) {
    int64_t i = begin;
    for (; i + kLanes <= begin + count; i += kLanes) lazy_adam_at<Floats>(a, i, rate);
    for (; i < begin + count; ++i) lazy_adam_at<float>(a, i, rate);
}

inline void lazy_adam_level(const TableArgs& a, const Level& level, int64_t slot) {
    const int64_t first_line = (slot * a.rows + level.offset) / a.line, lines = level.size / a.line;
    const int64_t floats_a_line = a.line * a.n_features;
    const float rate = a.rates[slot];
    uint8_t* touched = a.touched + first_line;
    for (int64_t line = 0; line < lines; ++line) {
        if (line + 8 <= lines && load<uint64_t>(touched + line) == 0) {
            line += 7;
            continue;
        }
        if (!touched[line]) continue;
        touched[line] = 0;
        const int64_t begin = (first_line + line) * floats_a_line;
        if (rate != 0)
            lazy_adam_line(a, begin, floats_a_line, rate);
        else
            memset(a.total + begin, 0, size_t(floats_a_line) * 4);
    }
}

// Every entry takes a step, touched or not.
inline void dense_adam_level(const TableArgs& a, const Level& level, int64_t slot) {
    const int64_t begin = (slot * a.rows + level.offset) * a.n_features, count = level.size * a.n_features;
    const float rate = a.rates[slot], beta1 = a.beta1, beta2 = a.beta2, spread = a.spread, epsilon = a.epsilon;
    float* __restrict values = a.values + begin;
    float* __restrict first = a.first + begin;
    float* __restrict second = a.second + begin;
    float* __restrict total = a.total + begin;
    for (int64_t i = 0; i < count; ++i) {
        const float gradient = total[i];
        first[i] = beta1 * first[i] + (1 - beta1) * gradient;
        second[i] = beta2 * second[i] + (1 - beta2) * gradient * gradient;
        values[i] -= rate * first[i] / (std::sqrt(second[i]) * spread + epsilon);
        total[i] = 0;
    }
}

// Many samples touch nearly all lines: then it is cheaper to look at every line than to note each touch.
inline bool mark_all(const TableArgs& a, const Level& level, int64_t slot) {
    int64_t samples = 0;
    for (int64_t p = 0; p < a.n_pending; ++p)
        for (int64_t k = 0; k < a.pending[p].n_pieces; ++k)
            if (a.pending[p].pieces[k].slot == slot) samples += a.pending[p].pieces[k].end - a.pending[p].pieces[k].begin;
    const int64_t lines = level.size / a.line;
    if (!a.touched || samples * 4 < lines) return false;
    memset(a.touched + (slot * a.rows + level.offset) / a.line, 1, size_t(lines));
    return true;
}

extern "C" {
// Adds up what is pending; where `values` are given, also takes the step (lazy where `touched` are) and clears the total.
void update_tables(TableArgs* args) {
    const TableArgs& a = *args;
    for (int64_t item; (item = take(&args->next, a.n_levels * a.n_slots)) >= 0;) {
        const int64_t number = a.n_levels - 1 - item / a.n_slots, slot = item % a.n_slots;  // the large ones first
        const Level& level = a.levels[number];
        const bool marked = mark_all(a, level, slot);
        for (int64_t p = 0; p < a.n_pending; ++p)
            for (int64_t k = 0; k < a.pending[p].n_pieces; ++k) {
                const Piece& piece = a.pending[p].pieces[k];
                if (piece.slot != slot) continue;
                switch (a.n_features) {
                    case 2: scatter_level<2>(a, a.pending[p], level, number, piece, marked); break;
                    case 4: scatter_level<4>(a, a.pending[p], level, number, piece, marked); break;
                    case 8: scatter_level<8>(a, a.pending[p], level, number, piece, marked); break;
                    default: scatter_level_any(a, a.pending[p], level, number, piece, marked);
                }
            }
        if (a.values && a.touched) lazy_adam_level(a, level, slot);
        if (a.values && !a.touched) dense_adam_level(a, level, slot);
    }
}
}
