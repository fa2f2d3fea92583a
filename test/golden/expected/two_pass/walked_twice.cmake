# attention walked_twice, from two_pass.mta:3.
# Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_walked_twice:
#
#   include(path/to/walked_twice.cmake)
#   target_link_libraries(my_program PRIVATE mtac_walked_twice)
#
# CMAKE_CUDA_ARCHITECTURES, where the project or the user sets it, says which devices to compile for.

# Parts of a project may each include this file.
if(TARGET mtac_walked_twice)
  get_target_property(_mtac_folder mtac_walked_twice INTERFACE_INCLUDE_DIRECTORIES)
  if("${_mtac_folder}" STREQUAL "${CMAKE_CURRENT_LIST_DIR}")
    return()
  endif()
endif()

# Before the language: enabling it sets a default.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

# Gives the architectures to compile for: what the project asked for; where it asked for nothing, `planned`. CMake picks
# a default of its own when CUDA is enabled without any (75, 52 before CUDA 13), which mtac's kernels do not run on.
function(_mtac_compiled_for result asked planned)
  # CMake keeps what it picked in the cache under this description. What a project or a user sets has none, or another.
  get_property(description CACHE CMAKE_CUDA_ARCHITECTURES PROPERTY HELPSTRING)
  set(picked "")
  if("${description}" STREQUAL "CUDA architectures")
    set(picked "$CACHE{CMAKE_CUDA_ARCHITECTURES}")
  endif()
  # Except what the variable CUDAARCHS of the environment asked for, which only the first run needs to have.
  if(NOT "$ENV{CUDAARCHS}" STREQUAL "" AND "$ENV{CUDAARCHS}" STREQUAL "${picked}")
    set(mtac_CUDAARCHS "${picked}" CACHE INTERNAL "CUDAARCHS as it was when CUDA was enabled")
  endif()
  if(NOT "${mtac_CUDAARCHS}" STREQUAL "" AND "${mtac_CUDAARCHS}" STREQUAL "${picked}")
    set(picked "")
  endif()
  if("${asked}" STREQUAL "${picked}")
    set(${result} "${planned}" PARENT_SCOPE)
    return()
  endif()
  set(meant "${asked}")
  if("${asked}" STREQUAL "all")
    set(meant "${CMAKE_CUDA_ARCHITECTURES_ALL}")
  elseif("${asked}" STREQUAL "all-major")
    set(meant "${CMAKE_CUDA_ARCHITECTURES_ALL_MAJOR}")
  endif()
  foreach(each IN LISTS meant)
    if("${each}" MATCHES "^(sm_)?([0-9]+)")
      if(CMAKE_MATCH_2 LESS 80)
        message(FATAL_ERROR
          "mtac's kernels need sm_80 or newer, and this project compiles for sm_${CMAKE_MATCH_2} (MTA915).\n"
          "Write set(CMAKE_CUDA_ARCHITECTURES 80), or what your devices are, before project(), or configure with "
          "-DCMAKE_CUDA_ARCHITECTURES=80. mtac_add_kernels takes ARCHITECTURES for one target.")
      endif()
    endif()
  endforeach()
  set(${result} "${asked}" PARENT_SCOPE)
endfunction()
_mtac_compiled_for(_mtac_architectures "${CMAKE_CUDA_ARCHITECTURES}" "80")

add_library(mtac_walked_twice STATIC
  "${CMAKE_CURRENT_LIST_DIR}/walked_twice.cu"
)
target_include_directories(mtac_walked_twice PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(mtac_walked_twice PUBLIC CUDA::cudart)
target_compile_features(mtac_walked_twice PRIVATE cuda_std_17)
set_target_properties(mtac_walked_twice PROPERTIES
  POSITION_INDEPENDENT_CODE ON
  CUDA_ARCHITECTURES "${_mtac_architectures}"
)
unset(_mtac_architectures)
