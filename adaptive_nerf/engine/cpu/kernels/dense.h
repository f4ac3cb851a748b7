// What goes over plain arrays: dense Adam, and spherical harmonics of directions.
#pragma once
#include "vectors.h"
#include "work.h"

struct AdamArgs {
    int64_t next, n;
    float* values;
    float* first;
    float* second;
    const float* gradient;
    float rate, beta1, beta2, epsilon;
    float correction1, correction2;  // 1 - beta^step
};

extern "C" {
void adam_dense(AdamArgs* args) {
    const AdamArgs a = *args;
    const float step = a.rate / a.correction1, spread = 1 / std::sqrt(a.correction2);
    for (int64_t item; (item = take(&args->next, (a.n + kNumbersTogether - 1) / kNumbersTogether)) >= 0;) {
        const int64_t end = (item + 1) * kNumbersTogether < a.n ? (item + 1) * kNumbersTogether : a.n;
        float* __restrict values = a.values;
        float* __restrict first = a.first;
        float* __restrict second = a.second;
        const float* __restrict gradient = a.gradient;
        for (int64_t i = item * kNumbersTogether; i < end; ++i) {
            const float given = gradient[i];
            first[i] = a.beta1 * first[i] + (1 - a.beta1) * given;
            second[i] = a.beta2 * second[i] + (1 - a.beta2) * given * given;
            values[i] -= step * first[i] / (std::sqrt(second[i]) * spread + a.epsilon);
        }
    }
}

// directions [n][3] -> out [n][stride], the first 16 of each row
void spherical_harmonics(const float* directions, int64_t n, float* out, int64_t stride) {
    for (int64_t i = 0; i < n; ++i, out += stride) {
        const float x = directions[3 * i], y = directions[3 * i + 1], z = directions[3 * i + 2];
        const float xx = x * x, yy = y * y, zz = z * z;
        out[0] = 0.28209479177387814f;
        out[1] = -0.4886025119029199f * y;
        out[2] = 0.4886025119029199f * z;
        out[3] = -0.4886025119029199f * x;
        out[4] = 1.0925484305920792f * x * y;
        out[5] = -1.0925484305920792f * y * z;
        out[6] = 0.9461746957575601f * zz - 0.31539156525252005f;
        out[7] = -1.0925484305920792f * x * z;
        out[8] = 0.5462742152960396f * (xx - yy);
        out[9] = 0.5900435899266435f * y * (yy - 3 * xx);
        out[10] = 2.890611442640554f * x * y * z;
        out[11] = 0.4570457994644658f * y * (1 - 5 * zz);
        out[12] = 0.3731763325901154f * z * (5 * zz - 3);
        out[13] = 0.4570457994644658f * x * (1 - 5 * zz);
        out[14] = 1.445305721320277f * z * (xx - yy);
        out[15] = 0.5900435899266435f * x * (3 * yy - xx);
    }
}
}
