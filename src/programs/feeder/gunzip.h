// Decompression of a gzip file of any number of members, a piece at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/files.h"
#include "base/result.h"

namespace millwright::feeder {

class Gunzip {
  public:
    static Result<std::unique_ptr<Gunzip>> open(Fd file);
    ~Gunzip();
    Gunzip(const Gunzip&) = delete;
    Gunzip& operator=(const Gunzip&) = delete;

    // Fills some of the buffer; 0 is the end. InvalidInput: what is wrong with the data ("it is cut off").
    Result<size_t> read(std::span<char> buffer);

  private:
    struct State;
    explicit Gunzip(Fd file);
    Result<bool> refill();  // false at the end of the file

    Fd file_;
    std::unique_ptr<State> state_;
};

}  // namespace millwright::feeder
