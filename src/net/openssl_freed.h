// The deleter of what OpenSSL hands out: std::unique_ptr<X509, Freed<X509_free>>.
#pragma once

namespace millwright::net {

template <auto free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        free(object);
    }
};

}  // namespace millwright::net
