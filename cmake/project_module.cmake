# The one way to declare a library, its unit tests, benchmarks and fuzz targets.
#
#   project_module(object_store
#     SOURCES object_store.cc …          explicit list, no globbing
#     TESTS object_store_test.cc …       one test binary per module: <name>_tests
#     BENCHES x_bench.cc …               one binary: <name>_bench
#     FUZZERS x_fuzz.cc …                one binary each
#     DEPENDS base metadata_store …      modules this one may include (checked by tools/tidy)
#     LIBRARIES SQLite::SQLite3 …)       third-party libraries
#
# A module is a folder below src/; a nested one (resources/training_jobs) is named resources_training_jobs.
# Every edge in DEPENDS is the permission to include "<module>/…"; tools/tidy compares them with the includes.
include_guard(GLOBAL)
find_package(GTest QUIET)

add_library(millwright_warnings INTERFACE)
if(MILLWRIGHT_FUZZERS)
  add_custom_target(fuzz_targets)  # all of them
endif()
# GCC 12 reports variants and string concatenation wrongly when it optimises (maybe-uninitialized, restrict), and calls
# designated initializers that leave a member to its default incomplete (missing-field-initializers).
target_compile_options(millwright_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
target_include_directories(millwright_warnings INTERFACE ${PROJECT_SOURCE_DIR}/src)

function(project_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;TESTS;BENCHES;FUZZERS;DEPENDS;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC millwright_warnings ${ARG_DEPENDS} PRIVATE ${ARG_LIBRARIES})
  if(MILLWRIGHT_TESTS AND ARG_TESTS)
    add_executable(${name}_tests ${ARG_TESTS})
    # What is tested is compiled as users get it; the tests themselves need not be fast, and optimising GoogleTest's
    # templates would take half of the build.
    if(CMAKE_BUILD_TYPE STREQUAL "Release")
      target_compile_options(${name}_tests PRIVATE -O0)
    endif()
    target_link_libraries(${name}_tests PRIVATE ${name} ${ARG_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name}_tests)
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endif()
  if(MILLWRIGHT_BENCHMARKS AND ARG_BENCHES)
    find_package(benchmark REQUIRED)
    add_executable(${name}_bench ${ARG_BENCHES})
    target_link_libraries(${name}_bench PRIVATE ${name} ${ARG_LIBRARIES} benchmark::benchmark_main)
  endif()
  if(MILLWRIGHT_TESTS AND NOT MILLWRIGHT_FUZZERS)
    # Every fuzz target once more without libFuzzer: its seeds, and the same two thousand changes of them each time.
    foreach(source ${ARG_FUZZERS})
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer}_smoke ${source} ${PROJECT_SOURCE_DIR}/src/base/fuzz_smoke_main.cc)
      target_compile_definitions(${fuzzer}_smoke PRIVATE FUZZ_SEEDS="${PROJECT_SOURCE_DIR}/tests/fuzz_seeds/${fuzzer}")
      target_link_libraries(${fuzzer}_smoke PRIVATE ${name} ${ARG_LIBRARIES})
      add_test(NAME ${fuzzer}_smoke COMMAND ${fuzzer}_smoke)
      set_tests_properties(${fuzzer}_smoke PROPERTIES TIMEOUT 120)
    endforeach()
  endif()
  if(MILLWRIGHT_FUZZERS)
    foreach(source ${ARG_FUZZERS})
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer} ${source})
      target_link_libraries(${fuzzer} PRIVATE ${name} ${ARG_LIBRARIES} -fsanitize=fuzzer)
      add_dependencies(fuzz_targets ${fuzzer})
    endforeach()
  endif()
endfunction()

# A program in build/<preset>/bin.
function(project_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millwright_warnings ${ARG_DEPENDS} ${ARG_LIBRARIES})
endfunction()

# One without shared libraries. Sanitizers need theirs.
function(project_static_program name)
  project_program(${name} ${ARGN})
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -static)
  endif()
endfunction()
