# attention windowed, from masks.mta:3.
# Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_windowed_cpu:
#
#   include(path/to/windowed_cpu.cmake)
#   target_link_libraries(my_program PRIVATE mtac_windowed_cpu)
#
# CMAKE_C_FLAGS says which processor to compile for: -march=native for this one, -march=x86-64-v3 for those of the last
# ten years. Without it, compilers take the oldest, whose vectors are short. Needs GCC 12 or newer, or Clang.

# Parts of a project may each include this file.
if(TARGET mtac_windowed_cpu)
  get_target_property(_mtac_folder mtac_windowed_cpu INTERFACE_INCLUDE_DIRECTORIES)
  if("${_mtac_folder}" STREQUAL "${CMAKE_CURRENT_LIST_DIR}")
    return()
  endif()
endif()

enable_language(C)
find_package(Threads REQUIRED)

# Adds C sources of mtac's to a target. They are optimized whatever the build is for: else they are a hundred times
# slower.
function(_mtac_add_c target)
  target_sources("${target}" PRIVATE ${ARGN})
  set_source_files_properties(${ARGN} TARGET_DIRECTORY "${target}" PROPERTIES
    COMPILE_OPTIONS "-O3;-ffp-contract=fast;-fno-math-errno"
  )
  target_compile_features("${target}" PRIVATE c_std_11)
  target_link_libraries("${target}" PUBLIC Threads::Threads m)
endfunction()

add_library(mtac_windowed_cpu STATIC)
_mtac_add_c(mtac_windowed_cpu "${CMAKE_CURRENT_LIST_DIR}/windowed_cpu.c")
target_include_directories(mtac_windowed_cpu PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
set_target_properties(mtac_windowed_cpu PROPERTIES POSITION_INDEPENDENT_CODE ON)
