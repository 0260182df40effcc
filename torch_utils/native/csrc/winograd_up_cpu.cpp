// Enlarging by minimal filtering on the CPU. A thread works through rows of tiles from top to bottom; what it has made
// of the transposed result stays in a ring of rows for as long as the FIR filter needs it.

#include "winograd_up.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "shares.h"

namespace steergan {
namespace {

constexpr int kTile = 4, kPatch = kTile + 1;  // inputs along a side: of a tile, and those that its results need
constexpr int kPoints = 5;                    // of F(4, 2)
constexpr int kSide = kPoints + kTile;        // products along a side: points for even results, inputs for odd ones
constexpr int kFilters = kPoints + 1;         // different ones along a side
constexpr int kResults = 2 * kTile;
constexpr int kRing = 2 * kResults;  // rows of the transposed result
constexpr int kTaps = kWinogradUpTaps;
constexpr int64_t kGap = 5 * kLineFloats;   // between products, which would else share the sets of a cache
constexpr int64_t kBlockTiles = 32;    // about

constexpr int filter_of(int side) { return std::min(side, kPoints); }
constexpr int pixel_of(int side) { return std::max(side - kPoints, 0); }
constexpr int pixels_of(int filter) { return filter < kPoints ? 1 : kTile; }

// ---- transforms of one row or column, at `step` from each other

inline void spread(const Lanes* d, int step, Lanes* to, int to_step) {
    Lanes d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    alignas(kLine) Lanes values[kSide] = {2 * (d0 - d2) + (d3 - d1), 2 * d1 + (d2 - d3), 2 * d1 - 3 * d2 + d3, d3 - d1,
                           2 * (d1 - d3) + (d4 - d2), d1, d2, d3, d4};
    for (int i = 0; i < kSide; i++) to[i * to_step] = values[i];
}

inline void gather(const Lanes* m, Lanes* to) {
    Lanes sum = m[1] + m[2], difference = m[1] - m[2];
    to[0] = m[0] + sum + m[3];
    to[2] = difference + 2 * m[3];
    to[4] = sum + 4 * m[3];
    to[6] = difference + 8 * m[3] + m[4];
    for (int i = 0; i < kTile; i++) to[2 * i + 1] = m[kPoints + i];
}

// ---- where the vectors of a block lie

// How many tiles there are along an axis. Where the image ends with a tile, one more is needed for the last even
// result: its edge, of which only the product of the first point is not zero.
struct Tiles {
    int64_t whole, edges;
    int64_t of(int filter) const { return filter == 0 ? whole + edges : whole; }
};

// The rows that are multiplied with a filter lie together, tile by tile.
class Layout {
  public:
    Layout(Tiles down, Tiles across, int64_t channels) {
        for (int f = 0; f < kFilters * kFilters; f++) {
            int y = f / kFilters, x = f % kFilters;
            tile_[f] = pixels_of(y) * pixels_of(x) * channels;
            row_[f] = across.of(x) * tile_[f];
            begin_[f] = size_;
            rows_[f] = down.of(y) * row_[f] / channels;
            size_ += rows_[f] * channels + kGap;
        }
        for (int s = 0; s < kSide * kSide; s++) {
            int y = s / kSide, x = s % kSide;
            filters_[s] = filter_of(y) * kFilters + filter_of(x);
            pixels_[s] = (pixel_of(y) * pixels_of(filter_of(x)) + pixel_of(x)) * channels;
        }
    }

    int64_t size() const { return size_; }
    int64_t begin(int filter) const { return begin_[filter]; }
    int64_t rows(int filter) const { return rows_[filter]; }
    int64_t at(int side, int64_t down, int64_t across) const {
        int f = filters_[side];
        return begin_[f] + down * row_[f] + across * tile_[f] + pixels_[side];
    }

  private:
    int64_t tile_[kFilters * kFilters], row_[kFilters * kFilters], begin_[kFilters * kFilters];
    int64_t rows_[kFilters * kFilters], pixels_[kSide * kSide], size_ = 0;
    int filters_[kSide * kSide];
};

// ---- rows of tiles

struct Tensors {
    const float *x, *filters, *taps;
    float* y;
};

struct Row {
    int64_t n, y, slot;  // image, first row of the input, place in the layout
    bool edge;
};

// Most rows and columns of tiles in a block: many tiles for each reading of the filters, few enough for the cache.
struct Extent {
    int64_t down, across;
};

Extent extent(const WinogradUp& a) {
    int64_t across = a.width / kTile + 1, parts = std::max<int64_t>(across / kBlockTiles, 1);
    return {std::max<int64_t>(kBlockTiles / across, 1), at::divup(across, parts)};
}

template <Kind K>
class Band {
  public:
    Band(const WinogradUp& a, const Modulation& m, const Tensors& t, Range channels)
        : a_(a),
          t_(t),
          channels_(channels),
          modulated_(m, a.in, a.out, 4 * a.height * a.width),
          most_(extent(a)),
          down_(a.height / kTile + 1),
          across_(a.width / kTile + 1),
          ring_step_((2 * a.width + 3) * channels.count),
          spread_(size(a.in)),
          products_(size(channels.count)),
          ring_(kRing * ring_step_),
          zeros_(std::max(ring_step_, a.in), 0.0f),
          unused_(a.in) {
        std::fill(ring_.get(), ring_.get() + kRing * ring_step_, 0.0f);
    }

    // Rows of tiles, counted through all images. The FIR filter also sees some of what the one before them gives.
    void run(Range wanted) {
        int64_t above = wanted.first % down_ > 0 ? 1 : 0, rows = wanted.count + above;
        int64_t blocks = at::divup(rows, most_.down);
        for (int64_t i = 0; i < blocks; i++) {
            Range of_these = share(rows, i, blocks);
            block({wanted.first - above + of_these.first, of_these.count}, wanted.first);
        }
    }

  private:
    int64_t size(int64_t channels) const {
        return Layout({most_.down, most_.down}, {most_.across, 1}, channels).size();
    }

    // Results are written from row `wanted` on.
    void block(Range rows, int64_t wanted) {
        Tiles down = list_rows(rows);
        bool at_once = most_.across >= across_;
        for (int64_t x = 0; x < across_; x += most_.across) {
            int64_t count = std::min(most_.across, across_ - x), edges = (x + count - 1) * kTile == a_.width;
            Tiles across{count - edges, edges};
            Layout in(down, across, a_.in), out(down, across, channels_.count);
            for (const Row& row : rows_) spread_row(row, x, count, in);
            for (int f = 0; f < kFilters * kFilters; f++) {
                multiply(spread_.get() + in.begin(f), t_.filters + (f * a_.out + channels_.first) * a_.in,
                         products_.get() + out.begin(f), in.rows(f), a_.in, channels_.count);
            }
            for (size_t i = 0; i < rows_.size(); i++) {
                gather_row(rows_[i], x, count, out);
                if (at_once && rows.first + int64_t(i) >= wanted) filter(rows_[i]);
            }
        }
        if (!at_once && rows.first >= wanted) filter(rows_[0]);
    }

    Tiles list_rows(Range rows) {
        Tiles found{0, 0};
        rows_.clear();
        for (int64_t i = rows.first; i < rows.first + rows.count; i++) {
            int64_t y = i % down_ * kTile;
            rows_.push_back({i / down_, y, 0, y == a_.height});
            rows_.back().slot = (rows_.back().edge ? found.edges : found.whole)++;
        }
        for (Row& row : rows_) row.slot += row.edge ? found.whole : 0;
        return found;
    }

    // Whether a tile has this product: edges have but those of their first point.
    bool has(const Row& row, int64_t x, int side) const {
        return (!row.edge || side / kSide == 0) && (x < a_.width || side % kSide == 0);
    }

    void spread_row(const Row& row, int64_t first, int64_t count, const Layout& layout) {
        for (int64_t i = 0; i < count; i++) {
            float* to[kSide * kSide];
            int64_t x = (first + i) * kTile;
            for (int s = 0; s < kSide * kSide; s++) {
                to[s] = has(row, x, s) ? spread_.get() + layout.at(s, row.slot, i) : unused_.get();
            }
            spread_tile(row, x, to);
        }
    }

    void spread_tile(const Row& row, int64_t first, float* const* to) {
        const float *scales = modulated_.in_scales(row.n), *pixels[kPatch * kPatch];
        for (int p = 0; p < kPatch * kPatch; p++) {
            int64_t y = row.y + p / kPatch - 1, x = first + p % kPatch - 1;
            bool inside = y >= 0 && y < a_.height && x >= 0 && x < a_.width;
            pixels[p] = inside ? t_.x + ((row.n * a_.height + y) * a_.width + x) * a_.in : zeros_.data();
        }
        for (int64_t c = 0; c < a_.in; c += kLanes) {
            Lanes scale = load(scales + c);
            alignas(kLine) Lanes columns[kSide * kPatch], points[kSide];
            for (int x = 0; x < kPatch; x++) {
                alignas(kLine) Lanes column[kPatch];
                for (int y = 0; y < kPatch; y++) column[y] = load(pixels[y * kPatch + x] + c) * scale;
                round_now(column);  // so that images scaled beforehand give the same
                spread(column, 1, columns + x, kPatch);
            }
            for (int y = 0; y < kSide; y++) {
                spread(columns + y * kPatch, 1, points, 1);
                for (int x = 0; x < kSide; x++) store(points[x], to[y * kSide + x] + c);
            }
        }
    }

    void gather_row(const Row& row, int64_t first, int64_t count, const Layout& layout) {
        for (int64_t i = 0; i < count; i++) {
            const float* from[kSide * kSide];
            int64_t x = (first + i) * kTile;
            for (int s = 0; s < kSide * kSide; s++) {
                from[s] = has(row, x, s) ? products_.get() + layout.at(s, row.slot, i) : zeros_.data();
            }
            gather_tile(row, x, from);
        }
    }

    void gather_tile(const Row& row, int64_t x, const float* const* from) {
        int64_t height = std::min<int64_t>(kResults, 2 * (a_.height - row.y) + 1);
        int64_t width = std::min<int64_t>(kResults, 2 * (a_.width - x) + 1);
        for (int64_t c = 0; c < channels_.count; c += kLanes) {
            alignas(kLine) Lanes columns[kSide][kResults];
            for (int i = 0; i < kSide; i++) {
                alignas(kLine) Lanes column[kSide];
                for (int j = 0; j < kSide; j++) column[j] = load(from[j * kSide + i] + c);
                gather(column, columns[i]);
            }
            for (int64_t j = 0; j < height; j++) {
                alignas(kLine) Lanes line[kSide], results[kResults];
                for (int i = 0; i < kSide; i++) line[i] = columns[i][j];
                gather(line, results);
                float* to = ring_row(2 * row.y + j) + (2 * x + 1) * channels_.count + c;
                for (int64_t i = 0; i < width; i++) store(results[i], to + i * channels_.count);
            }
        }
    }

    float* ring_row(int64_t y) { return ring_.get() + y % kRing * ring_step_; }

    // The rows of the result that can be made now, and could not before.
    void filter(const Row& row) {
        int64_t last = std::min(2 * a_.height, 2 * row.y + kResults - 2);
        for (int64_t y = std::max<int64_t>(0, 2 * row.y - 2); y < last; y++) {
            const float* rows[kTaps];
            for (int k = 0; k < kTaps; k++) {
                bool inside = y + k >= 1 && y + k - 1 <= 2 * a_.height;
                rows[k] = inside ? ring_row(y + k - 1) : zeros_.data();
            }
            filter_row(row.n, y, rows);
        }
    }

    void filter_row(int64_t n, int64_t y, const float* const* rows) {
        const float* scales = modulated_.out_scales(n) + channels_.first;
        const float* biases = modulated_.biases() + channels_.first;
        Lanes taps[kTaps * kTaps];
        for (int i = 0; i < kTaps * kTaps; i++) taps[i] = all(t_.taps[i]);
        for (int64_t x = 0; x < 2 * a_.width; x++) {
            int64_t pixel = y * 2 * a_.width + x;
            float noise = modulated_.noise(n, pixel);
            float* to = t_.y + (n * 4 * a_.height * a_.width + pixel) * a_.out + channels_.first;
            for (int64_t c = 0; c < channels_.count; c += kLanes) {
                Lanes sum = {};
                for (int k = 0; k < kTaps * kTaps; k++) {
                    sum += taps[k] * load(rows[k / kTaps] + (x + k % kTaps) * channels_.count + c);
                }
                store(modulated_.activate(sum * load(scales + c) + (load(biases + c) + noise)), to + c);
            }
        }
    }

    const WinogradUp& a_;
    const Tensors& t_;
    Range channels_;  // of the result, which are made here
    Modulated<K> modulated_;
    Extent most_;
    int64_t down_, across_;  // rows and columns of tiles in an image
    int64_t ring_step_;
    Buffer spread_, products_, ring_;
    std::vector<float> zeros_;
    Buffer unused_;
    std::vector<Row> rows_;
};

template <Kind K>
void enlarge(const WinogradUp& a, const Modulation& m, const Tensors& t) {
    int64_t tiles = a.images * a.height * a.width / (kTile * kTile), rows = a.images * (a.height / kTile + 1);
    Shares shares(tiles, kBlockTiles, a.out, at::get_num_threads());
    shares.blocks = at::divup(at::get_num_threads(), shares.groups);  // a thread goes on to the next block by itself
    at::parallel_for(0, shares.count(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) Band<K>(a, m, t, shares.group(i)).run(shares.block(i, rows));
    });
}

}  // namespace

void launch_winograd_up(
    const WinogradUp& a, const Modulation& m, const float* x, const float* filters, const float* taps, float* y) {
    Tensors t{x, filters, taps, y};
    switch (kind_of(m.act)) {
        case Kind::linear: return enlarge<Kind::linear>(a, m, t);
        case Kind::lrelu: return enlarge<Kind::lrelu>(a, m, t);
        default: return enlarge<Kind::any>(a, m, t);
    }
}

}  // namespace steergan
