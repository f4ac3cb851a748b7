// Runs every operation of the cpu engine on odd sizes and wild input, by several threads: to be built with sanitizers
// (`make sanitize`). Of numbers it says only that encoding by gathers is encoding; the Python tests say the rest.
#include "../../adaptive_nerf/engine/cpu/kernels/engine.cpp"

#include <cassert>
#include <cstdio>
#include <limits>
#include <thread>

namespace {
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

template <class Args>
void run(void (*function)(Args*), Args& args, int threads = 3) {
    args.next = 0;
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) workers.emplace_back(function, &args);
    for (auto& worker : workers) worker.join();
}

struct Draws {
    uint64_t index = 0;
    float next() { return drawn(7, index++); }
    std::vector<float> floats(int64_t n, float low = 0, float high = 1) {
        std::vector<float> result(size_t(n), 0);
        for (auto& value : result) value = low + (high - low) * next();
        return result;
    }
};

std::vector<Piece> cut(int64_t n, int64_t slots) {
    std::vector<int32_t> slot;
    for (int64_t i = 0; i < n; ++i) slot.push_back(int32_t(i * slots / n));
    std::vector<Piece> pieces(64);
    pieces.resize(size_t(cut_pieces(slot.data(), n, slots, 200, pieces.data(), 64)));
    return pieces;
}

void tables(int64_t n, int64_t features, int64_t half) {
    Draws draws;
    const int64_t slots = 2;
    const Level levels[] = {{0, 64, 4, 0, 3.0f, 0}, {64, 256, 300, 1, 299.0f, 0}};
    const int64_t rows = 320;
    auto local = draws.floats(3 * n, -0.2f, 1.2f), table = draws.floats(slots * rows * features);
    if (n > 2) local[0] = kNan, local[1] = kInfinity, local[2] = -kInfinity;
    auto pieces = cut(n, slots);
    std::vector<float> out(size_t(2 * n * features)), slopes(size_t(3 * n));
    EncodeArgs encoding{0, local.data(), n, pieces.data(), int64_t(pieces.size()), levels, 2, features, rows,
                        table.data(), out.data(), n * features, half, out.data(), n * features, slopes.data(), n};
    run(encode, encoding);
    run(encode_places_gradient, encoding);
    const int64_t line = features <= 2 ? 8 : features <= 4 ? 4 : 2;
    std::vector<float> total(table.size()), first(table.size()), second(table.size());
    std::vector<uint8_t> touched(size_t(slots * rows / line));
    const Pending pending{local.data(), n, out.data(), n * features, half, pieces.data(), int64_t(pieces.size())};
    const float rates[] = {0.1f, 0.0f}, by_level[] = {0.1f, 0.0f, 2.0f, 0.1f};
    const int64_t largest = 256, workers = 2;
    std::vector<float> scratch(size_t(workers * largest * features));
    std::vector<uint8_t> marks(size_t(workers * largest / line));
    TableArgs update{0, &pending, 1, levels, 2, features, rows, slots, line, total.data(), 0, touched.data(), scratch.data(),
                     marks.data(), workers, largest, 0, 1, table.data(), first.data(), second.data(), rates, 0.9f, 0.99f,
                     1e-15f, 1.0f, 0.5f};
    run(update_tables, update);
    TableArgs plain = update;
    plain.next = 0, plain.first = plain.second = nullptr, plain.rates = by_level;
    run(update_tables, plain);
    update.total = nullptr;  // into scratch, by more threads than there is scratch for
    run(update_tables, update);
    update.lazy = update.n_workers = 0;
    run(update_tables, update);
    update.total = total.data(), update.touched = nullptr;
    run(update_tables, update);
    update.values = nullptr;
    run(update_tables, update);
    update.fresh = 1;
    run(update_tables, update);
}

template <int kFeatures, class Number>
void gathers(int64_t n, const Level& level) {
#if defined(__AVX512F__)
    Draws draws;
    auto local = draws.floats(3 * n, -0.2f, 1.2f), table = draws.floats(level.size * kFeatures, -1, 1);
    if (n > 2) local[0] = kNan, local[1] = kInfinity, local[2] = -kInfinity;
    std::vector<Number> plain(size_t(n * kFeatures)), gathered(plain.size());
    encode_by_place<kFeatures>({local.data(), n}, level, table.data(), plain.data(), n / 3, n);
    encode_gathered<kFeatures>({local.data(), n}, level, table.data(), gathered.data(), n / 3, n);
    assert(plain == gathered);
#endif
}

void gathers(int64_t n) {
    for (const Level& level : {Level{0, 64, 4, 0, 3.0f, 0}, Level{0, 1 << 17, 300, 1, 299.0f, 0}}) {
        gathers<2, float>(n, level), gathers<4, float>(n, level);
        gathers<2, uint16_t>(n, level), gathers<4, uint16_t>(n, level);
    }
}

Shape shape(std::vector<int64_t> widths) {
    Shape result{};
    result.layers = int64_t(widths.size()) - 1;
    for (size_t i = 0; i < widths.size(); ++i) result.width[i] = widths[i];
    return result;
}

void fields(int64_t n, int64_t code, int64_t half) {
    Draws draws;
    const int64_t slots = 2, width = 16 + code, n_rays = 5;
    auto pieces = cut(n, slots);
    const Shape trunk = shape({6, 20, 16}), head = shape({32 + code, 24, 9, 3});
    auto trunk_weights = draws.floats(slots * trunk.n_weights(), -1, 1), head_weights = draws.floats(head.n_weights(), -1, 1);
    auto features = draws.floats(n * 6, -1, 1), place = draws.floats(n * 16), directions = draws.floats(std::max(n, n_rays) * width);
    std::vector<int32_t> rays;
    for (int64_t i = 0; i < n; ++i) rays.push_back(int32_t(i % n_rays));
    std::vector<float> out(size_t(n * 16)), gradient = draws.floats(n * 16), for_features(size_t(n * 6)), for_place(size_t(n * 16));
    std::vector<float> for_directions(size_t(n * width)), parts(pieces.size() * size_t(trunk.n_weights()));
    std::vector<float> head_parts(pieces.size() * size_t(head.n_weights())), total(trunk_weights.size());
    FieldArgs a{0, n, pieces.data(), int64_t(pieces.size()), trunk, head, trunk_weights.data(), head_weights.data(), 1, 1.0f,
                0, half, half, features.data(), 3, 2, n * 2, place.data(), 16, directions.data(), width, rays.data(), out.data(),
                gradient.data(), for_features.data(), n * 2, for_place.data(), for_directions.data(), parts.data(),
                head_parts.data()};
    const Shape none{};
    for (int part = 0; part < 3; ++part) {  // both, the trunk alone, the head alone
        a.trunk = part == 2 ? none : trunk, a.head = part == 1 ? none : head;
        a.rays = part == 2 ? nullptr : rays.data();
        run(field_forward, a);
        run(field_backward, a);
        a.trunk_gradient = a.head_gradient = nullptr;
        run(field_backward, a);
        a.trunk_gradient = parts.data(), a.head_gradient = head_parts.data();
#if defined(__AVX512BF16__)
        run(forward_pieces<Halved<ByVectors>>, a);  // which tiles may have taken the place of
        run(backward_pieces<Halved<ByVectors>>, a);
#endif
    }
    sum_gradients(pieces.data(), int64_t(pieces.size()), parts.data(), trunk.n_weights(), total.data(), slots);
}

void pictures(int64_t n_rays, int64_t regions, int64_t capacity, double margin) {
    Draws draws;
    auto origins = draws.floats(3 * n_rays, -1, 2), directions = draws.floats(3 * n_rays, -1, 1);
    if (n_rays > 3) origins[0] = kNan, directions[3] = kInfinity, directions[6] = 0;
    std::vector<Region> places;
    for (int64_t s = 0; s < regions; ++s) {
        const double low = 0.4 * double(s);
        places.push_back({{low, 0, 0}, {low + 1, 1, 1}, {low + 0.5, 0.5, 0.5}, 1, {3, 3, 3}, s * 27, {1, 1, 1}, s});
    }
    std::vector<int64_t> words;
    for (int64_t i = 0; i < regions * 27; ++i) words.push_back(i % 3 == 0 ? 0 : i % 3 == 1 ? -1 : 0x0f0f00ff12345678);
    std::vector<int64_t> halls(size_t(regions), 0);
    const int64_t groups = (n_rays + kRaysTogether - 1) / kRaysTogether;
    std::vector<int32_t> counts(size_t(n_rays * regions)), offsets(size_t(n_rays + 1)), following(size_t(n_rays), 0);
    std::vector<int32_t> slots(size_t(capacity), 0), rays(size_t(capacity), 0), order(size_t(capacity), 0);
    std::vector<uint8_t> dropped(size_t(n_rays), 0);
    std::vector<float> local(size_t(3 * capacity)), t(size_t(capacity), 0), delta(size_t(capacity), 0);
    std::vector<Found> found(size_t(capacity / 2));
    std::vector<int64_t> found_at(size_t(groups), 0);
    MarchArgs a{0, n_rays, origins.data(), directions.data(), 0.01, double(kInfinity), 0.02, 5, 1, 60, places.data(), regions,
                {0, 0, 0, 0.4 * double(regions - 1) + 1, 1, 1}, margin, {1, 1, 0}, 0, words.data(), 1 / 12.0, 12, nullptr,
                counts.data(), found.data(), capacity / 2, 0, found_at.data(), offsets.data(), dropped.data(),
                following.data(), capacity, local.data(), slots.data(), rays.data(), t.data(), delta.data(), order.data(), halls.data()};
    run(march_look_ahead, a);
    run(march_count, a);
    const int64_t count = march_lay_out(&a);
    assert(count <= capacity && offsets[size_t(n_rays)] == count);
    run(march_fill, a);
    for (int64_t width : {1, 4, 7, 16}) {
        auto values = draws.floats(capacity * width, 0, 30);
        if (count > 1) values[0] = kNan;
        std::vector<float> image(size_t(n_rays * width)), rest(size_t(3 * n_rays)), rows(size_t(2 * capacity)), slopes(values.size());
        auto given = draws.floats(n_rays * width), more = draws.floats(n_rays);
        CompositeArgs c{0, n_rays, width, offsets.data(), order.data(), t.data(), delta.data(), values.data(), 1e-4f, 0.5f,
                        image.data(), rest.data(), rest.data() + n_rays, rest.data() + 2 * n_rays, rows.data(),
                        rows.data() + capacity, given.data(), more.data(), more.data(), slopes.data()};
        run(composite, c);
        std::vector<float> distance(size_t(n_rays), 0);
        std::vector<int32_t> leading(size_t(n_rays), 0);
        SurfaceArgs met{0, n_rays, regions, offsets.data(), order.data(), slots.data(), t.data(), c.weights, c.median, 0.06,
                        distance.data(), leading.data()};
        run(surfaces, met);
        run(composite_backward, c);
        std::vector<uint8_t> maxima(words.size() * 64);
        if (count > 1) a.local[0] = kNan, a.local[1] = kInfinity, c.relative[0] = kNan;
        ObserveArgs observed{0, count, a.local, capacity, a.slots, c.relative, places.data(), regions, 1 / 12.0, 0.1f, 0,
                             maxima.data()};
        run(observe, observed);
        std::vector<uint64_t> cells(words.size()), bits(words.size());
        RebuildArgs anew{0, places.data(), regions, 0.9f, 76, maxima.data(), cells.data(), bits.data(),
                         width == 1 ? reinterpret_cast<const uint64_t*>(words.data()) : nullptr};
        run(fade, anew);
        run(grow, anew);
        c.values_gradient = values.data();  // in place
        run(composite_backward, c);
    }
}

void plain(int64_t n) {
    Draws draws;
    auto values = draws.floats(n), first = draws.floats(n), second = draws.floats(n), gradient = draws.floats(n);
    AdamArgs a{0, n, values.data(), first.data(), second.data(), gradient.data(), 0.1f, 0.9f, 0.99f, 1e-15f, 0.1f, 0.01f};
    run(adam_dense, a);
    std::vector<float> out(size_t(n / 3 * 16));
    spherical_harmonics(values.data(), n / 3, out.data(), 16);
}
}  // namespace

int main() {
    for (int64_t n : {0, 1, 15, 16, 17, 95, 96, 97, 500}) {
        for (int64_t half : {0, 1}) {
            for (int64_t features : {1, 2, 3, 4, 8}) tables(n, features, half);
            for (int64_t code : {0, 5}) fields(n, code, half);
        }
        for (int64_t regions : {1, 3}) pictures(n, regions, 4000, 1.2), pictures(n, regions, 40, 1.0);
        plain(n * 100);
        gathers(n);
    }
    assert(cut_pieces(nullptr, 10, 1, 3, std::vector<Piece>(2).data(), 2) == -1);
    puts("every operation ran, and the sanitizers found nothing");
}
