// Steps of the tables from a level's gradient, which is zero again afterwards: lazy ones, of touched lines alone, and dense.
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
