// What threads keep between the phases of a body.
#pragma once
#include <type_traits>

#include "place.hpp"

namespace tilewright::TW_ISA {
namespace {

// Nothing shared, nothing kept.
struct Nothing {};

// What a thread keeps between phases, and how it is given to the body.
template <class Body, class = void>
struct Kept {
    using Own = Nothing;
    static TW_INLINE bool phase(const Body& body, int p, Place place, typename Body::Shared& shared, Own&) {
        return body.phase(p, place, shared);
    }
};
template <class Body>
struct Kept<Body, std::void_t<typename Body::Own>> {
    using Own = typename Body::Own;
    static TW_INLINE bool phase(const Body& body, int p, Place place, typename Body::Shared& shared, Own& own) {
        return body.phase(p, place, shared, own);
    }
};

}  // namespace
}  // namespace tilewright::TW_ISA
