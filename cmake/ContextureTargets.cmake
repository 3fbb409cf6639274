# contexture_library(NAME SOURCES... DEPS...): one static library per folder, alias contexture::NAME.
function(contexture_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(contexture_${name} STATIC ${ARG_SOURCES})
  add_library(contexture::${name} ALIAS contexture_${name})
  target_include_directories(contexture_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(contexture_${name} PUBLIC ${ARG_DEPS} PRIVATE contexture_compiler)
endfunction()

# Builds what the label `unit` runs, and nothing else.
add_custom_target(unit_tests)

# contexture_test(NAME SOURCES... DEPS... LABEL unit|integration|golden|benchmark): one GoogleTest program.
function(contexture_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} contexture_compiler GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300)
  if(ARG_LABEL STREQUAL "unit")
    add_dependencies(unit_tests ${name})
  endif()
endfunction()

# contexture_test_isas(NAME [ISAS...] [FILTER...]): runs the test NAME again, or what FILTER chooses of it, for each
# instruction set below the best. One that the machine lacks gives its own once more.
function(contexture_test_isas name)
  cmake_parse_arguments(ARG "" "FILTER" "ISAS" ${ARGN})
  if(NOT ARG_ISAS)
    set(ARG_ISAS generic avx2 avx512 avx512_vnni avx512_bf16)
  endif()
  if(ARG_FILTER)
    set(filter "--gtest_filter=${ARG_FILTER}")
  endif()
  foreach(isa ${ARG_ISAS})
    add_test(NAME ${name}_${isa} COMMAND ${name} ${filter} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    get_test_property(${name} LABELS labels)
    set_tests_properties(${name}_${isa} PROPERTIES LABELS "${labels}" TIMEOUT 300
                         ENVIRONMENT "CONTEXTURE_MAX_ISA=${isa}"
                         FAIL_REGULAR_EXPRESSION "Running 0 tests")  # a filter that chooses nothing
  endforeach()
endfunction()
