// The gradient of the tables, and lazy Adam on the touched entries. One thread owns a level of a slot: no atomics, no
// private copies, the same bits every time; and what was just added up is still in the cache when it is used.
#pragma once
#include "encode.h"

struct Pending {  // what a backward put aside
    const float* local;  // [3][n]
    int64_t local_stride;
    const void* features;  // gradient, [levels][n][F]
    int64_t features_stride, half;
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
    float* total;      // [n_slots][rows][F], the gradient so far; or null: nothing yet, and there is scratch
    int64_t fresh;     // `total` holds anything: every level is zeroed just before it is added to
    uint8_t* touched;  // [n_slots][rows / line], or null: not wanted
    float* scratch;    // [n_scratch][largest level][F], all zero before and after; only where a step is taken
    uint8_t* scratch_touched;  // [n_scratch][largest level / line], likewise
    int64_t n_scratch, largest, n_workers;
    int64_t lazy;      // only entries with a gradient take a step
    float* values;     // [n_slots][rows][F] to optimise, or null: add up only
    float* first;      // running mean of the gradient; or null: steps are the gradient times a rate
    float* second;     // and of its square
    const float* rates;  // [n_slots]; without moments [n_slots][n_levels]
    float beta1, beta2, epsilon;
    float spread;        // of a dense step: 1 / sqrt(1 - beta2^step); rates are over 1 - beta1^step
    float longest;       // step without moments
};

// The gradient of one level of one slot: a part of the total, or a worker's own scratch, which is so often used that it
// stays in the cache.
struct LevelGradient {
    float* total;      // [size][F]
    uint8_t* touched;  // [size / line], or null
};

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

// The level's values and moments.
struct LevelState {
    float* values;
    float* first;
    float* second;
};

// Some entries side by side: those with a gradient take a step, and the gradient is zero again.
template <class Values>
inline void lazy_adam_at(const TableArgs& a, LevelState state, float* total, int64_t i, float rate) {
    const Values gradient = load<Values>(total + i);
    if (!any(gradient)) return;
    const Values old_first = load<Values>(state.first + i), old_second = load<Values>(state.second + i);
    const Values old = load<Values>(state.values + i);
    const Values first = a.beta1 * old_first + (1 - a.beta1) * gradient;
    const Values second = a.beta2 * old_second + (1 - a.beta2) * gradient * gradient;
    const Values value = old - rate * first / (root(second) + a.epsilon);
    store(state.first + i, gradient != 0.0f ? first : old_first);
    store(state.second + i, gradient != 0.0f ? second : old_second);
    store(state.values + i, gradient != 0.0f ? value : old);
    store(total + i, Values{});
}

template <class Values>
inline void plain_step_at(const TableArgs& a, LevelState state, float* total, int64_t i, float rate) {
    const Values gradient = load<Values>(total + i);
    if (!any(gradient)) return;
    const Values most = Values{} + a.longest, step = rate * gradient;
    store(state.values + i, load<Values>(state.values + i) - (step > most ? most : step < -most ? -most : step));
    store(total + i, Values{});
}

template <class Values>
inline void lazy_step_at(const TableArgs& a, LevelState state, float* total, int64_t i, float rate) {
    a.first ? lazy_adam_at<Values>(a, state, total, i, rate) : plain_step_at<Values>(a, state, total, i, rate);
}

// The touched ones of lines begin to end, which are then no longer marked; without a branch, for no CPU foresees them.
inline int64_t take_touched(uint8_t* touched, int64_t begin, int64_t end, int64_t* listed) {
    int64_t count = 0;
    for (int64_t line = begin; line < end; ++line) {
        listed[count] = line;
        count += touched[line] != 0;
    }
    memset(touched + begin, 0, size_t(end - begin));
    return count;
}

inline void ask_for(LevelState state, const float* total, int64_t i) {
    __builtin_prefetch(total + i, 1), __builtin_prefetch(state.values + i, 1);
    if (!state.first) return;
    __builtin_prefetch(state.first + i, 1), __builtin_prefetch(state.second + i, 1);
}

// Touched lines lie anywhere: they are asked for ahead, or each would be waited for.
inline void lazy_level(const TableArgs& a, const Level& level, LevelState state, LevelGradient gradient, float rate) {
    constexpr int64_t kLines = 1024, kAhead = 16;
    int64_t listed[kLines];
    const int64_t lines = level.size / a.line, width = a.line * a.n_features;
    for (int64_t begin = 0; begin < lines; begin += kLines) {
        const int64_t count = take_touched(gradient.touched, begin, begin + kLines < lines ? begin + kLines : lines, listed);
        for (int64_t at = 0; at < count; ++at) {
            int64_t i = listed[at] * width;
            const int64_t end = i + width;
            if (rate == 0) memset(gradient.total + i, 0, size_t(width) * 4);  // frozen
            if (rate == 0) continue;
            if (at + kAhead < count) ask_for(state, gradient.total, listed[at + kAhead] * width);
            for (; i + kLanes <= end; i += kLanes) lazy_step_at<Floats>(a, state, gradient.total, i, rate);
            for (; i < end; ++i) lazy_step_at<float>(a, state, gradient.total, i, rate);
        }
    }
}

// Every entry takes a step, touched or not.
inline void dense_adam_level(const TableArgs& a, const Level& level, LevelState state, LevelGradient gradient, float rate) {
    const int64_t count = level.size * a.n_features;
    const float beta1 = a.beta1, beta2 = a.beta2, spread = a.spread, epsilon = a.epsilon;
    float* __restrict values = state.values;
    float* __restrict first = state.first;
    float* __restrict second = state.second;
    float* __restrict total = gradient.total;
    for (int64_t i = 0; i < count; ++i) {
        const float given = total[i];
        first[i] = beta1 * first[i] + (1 - beta1) * given;
        second[i] = beta2 * second[i] + (1 - beta2) * given * given;
        values[i] -= rate * first[i] / (std::sqrt(second[i]) * spread + epsilon);
        total[i] = 0;
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
