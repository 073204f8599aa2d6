// A chain of matrices behind one virtual interface: dense, banded, transposed, scaled and summed.

#include <memory>
#include <vector>

#include "kernel.h"

namespace
{

class matrix
{
  public:
    virtual ~matrix() = default;
    virtual int rows() const = 0;
    virtual int cols() const = 0;
    virtual double at(int row, int col) const = 0;
};

using matrix_ptr = std::shared_ptr<const matrix>;

class dense final : public matrix
{
  public:
    dense(int rows, int cols) : rows_(rows), cols_(cols), cells_(size_t(rows) * size_t(cols))
    {
    }
    int rows() const override
    {
        return rows_;
    }
    int cols() const override
    {
        return cols_;
    }
    double at(int row, int col) const override
    {
        return cells_[index(row, col)];
    }
    void set(int row, int col, double value)
    {
        cells_[index(row, col)] = value;
    }

  private:
    size_t index(int row, int col) const
    {
        return size_t(row) * size_t(cols_) + size_t(col);
    }

    int rows_;
    int cols_;
    std::vector<double> cells_;
};

class banded final : public matrix
{
  public:
    banded(int order, int width) : order_(order), width_(width)
    {
    }
    int rows() const override
    {
        return order_;
    }
    int cols() const override
    {
        return order_;
    }
    double at(int row, int col) const override
    {
        int off = row < col ? col - row : row - col;
        return off > width_ ? 0.0 : 1.0 / (1 + off);
    }

  private:
    int order_;
    int width_;
};

class transposed final : public matrix
{
  public:
    explicit transposed(matrix_ptr of) : of_(std::move(of))
    {
    }
    int rows() const override
    {
        return of_->cols();
    }
    int cols() const override
    {
        return of_->rows();
    }
    double at(int row, int col) const override
    {
        return of_->at(col, row);
    }

  private:
    matrix_ptr of_;
};

class scaled final : public matrix
{
  public:
    scaled(matrix_ptr of, double by) : of_(std::move(of)), by_(by)
    {
    }
    int rows() const override
    {
        return of_->rows();
    }
    int cols() const override
    {
        return of_->cols();
    }
    double at(int row, int col) const override
    {
        return by_ * of_->at(row, col);
    }

  private:
    matrix_ptr of_;
    double by_;
};

class sum final : public matrix
{
  public:
    sum(matrix_ptr a, matrix_ptr b) : a_(std::move(a)), b_(std::move(b))
    {
    }
    int rows() const override
    {
        return a_->rows();
    }
    int cols() const override
    {
        return a_->cols();
    }
    double at(int row, int col) const override
    {
        return a_->at(row, col) + b_->at(row, col);
    }

  private:
    matrix_ptr a_;
    matrix_ptr b_;
};

matrix_ptr multiply(const matrix &a, const matrix &b)
{
    const int rows = a.rows();
    const int cols = b.cols();
    const int inner = a.cols();
    auto product = std::make_shared<dense>(rows, cols);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            double total = 0.0;
            for (int k = 0; k < inner; k++) {
                total += a.at(i, k) * b.at(k, j);
            }
            product->set(i, j, total);
        }
    }
    return product;
}

matrix_ptr make_dense(int order, uint64_t *seed)
{
    auto m = std::make_shared<dense>(order, order);
    for (int i = 0; i < order; i++) {
        for (int j = 0; j < order; j++) {
            m->set(i, j, kernel_random_unit(seed));
        }
    }
    return m;
}

std::vector<matrix_ptr> make_chain(int order)
{
    uint64_t seed = KERNEL_SEED;
    std::vector<matrix_ptr> chain;
    for (int i = 0; i < 8; i++) {
        matrix_ptr m = make_dense(order, &seed);
        switch (kernel_random(&seed) % 4) {
        case 0:
            chain.push_back(std::make_shared<transposed>(m));
            break;
        case 1:
            chain.push_back(std::make_shared<scaled>(m, 1.0 / order));
            break;
        case 2:
            chain.push_back(std::make_shared<sum>(m, std::make_shared<banded>(order, 3)));
            break;
        default:
            chain.push_back(std::make_shared<banded>(order, 8));
            break;
        }
    }
    return chain;
}

} // namespace

int main(int argc, char **argv)
{
    int order = kernel_size(argc, argv, 200);
    std::vector<matrix_ptr> chain = make_chain(order);

    uint64_t start = kernel_clock();
    matrix_ptr product = chain.front();
    for (size_t i = 1; i < chain.size(); i++) {
        product = multiply(*product, *chain[i]);
    }
    uint64_t end = kernel_clock();

    uint64_t total = 0;
    for (int i = 0; i < product->rows(); i++) {
        for (int j = 0; j < product->cols(); j++) {
            const double cell = product->at(i, j);
            total = kernel_mix_doubles(total, &cell, 1);
        }
    }
    return kernel_report("virtual", order, total, start, end);
}
