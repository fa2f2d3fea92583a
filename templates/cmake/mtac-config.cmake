# mtac_add_kernels: the CUDA kernels of an mtac spec, or its C for the processor, as sources of a target.
#
#   find_package(mtac REQUIRED PATHS "${CMAKE_CURRENT_SOURCE_DIR}/node_modules/mtac/templates/cmake" NO_DEFAULT_PATH)
#   mtac_add_kernels(my_program spec.mta)
#
# What is written for, components of the package say: `COMPONENTS cpu` needs a C compiler (GCC 12 or newer, or Clang) and no CUDA, `cuda`, which is
# taken where none is named, the CUDA toolkit; `COMPONENTS cpu cuda` has both.
#
# Kernels, with the functions that launch them, are compiled into the target, which may be a program, a library, or a name that is not
# taken yet: it then becomes a static library. `#include "<attention>.h"` works in the target and in what links to it.
#
#   mtac_add_kernels(<target> <spec.mta>
#     [TARGET <component>]           cuda, if not given, or cpu
#     [NAMES <attention>...]         attentions to compile; all of the spec's if not given
#     [ARCHITECTURES <arch>...]      CUDA: what to plan for, as in CMAKE_CUDA_ARCHITECTURES, whose concrete entries are the default; 80 where
#                                    the project sets none
#     [LENGTH <keys>]                the length to plan for; kernels run at every length
#     [GRAD]                         cpu: gradients, too: <attention>_backward
#     [SCHEDULE <schedule>]          single_pass, two_pass or staged, where the planner must not choose
#     [OUTPUT_DIRECTORY <dir>])      where generated files go; a folder of the target's in the build tree if not given
#
# Attentions of one target need names of their own: their headers and functions are called after them.
#
# C is optimized whatever the build is for. CMAKE_C_FLAGS says for which processor: -march=native, -march=x86-64-v3.
#
# The spec is compiled when CMake configures, and the build configures again whenever it, mtac.config.js, tuning results or mtac change. Needs Node
# 20.19 or newer; MTAC_EXECUTABLE, where it is set, is the command to run instead of this package's own.

get_filename_component(_mtac_root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(mtac_ROOT_DIRECTORY "${_mtac_root}" CACHE INTERNAL "The mtac package")
unset(_mtac_root)

set(_mtac_components ${mtac_FIND_COMPONENTS})
if(NOT _mtac_components)
  set(_mtac_components cuda)
endif()
foreach(_mtac_each IN LISTS _mtac_components)
  # Here, since a language cannot be enabled within a function.
  if(_mtac_each STREQUAL "cuda")
    # Enabling it would set a default of CMake's own.
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80)
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
  elseif(_mtac_each STREQUAL "cpu")
    enable_language(C)
    find_package(Threads REQUIRED)
  else()
    set(mtac_FOUND FALSE)
    set(mtac_NOT_FOUND_MESSAGE "mtac has no component ${_mtac_each}: write cuda or cpu.")
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY _mtac_components "${_mtac_each}")
endforeach()
unset(_mtac_each)
unset(_mtac_components)

# `_mtac_compiled_for` and `_mtac_add_c`, which the CMake files that `mtac compile` writes have copies of.
include("${mtac_ROOT_DIRECTORY}/templates/capi/partials/cmake-architectures.hbs")
include("${mtac_ROOT_DIRECTORY}/templates/capi/partials/cmake-processor.hbs")

# Gives the command line that runs mtac, or stops.
function(_mtac_command result)
  if(MTAC_EXECUTABLE)
    set(${result} "${MTAC_EXECUTABLE}" PARENT_SCOPE)
    return()
  endif()
  find_program(MTAC_NODE NAMES node nodejs DOC "Node, which runs mtac")
  if(NOT MTAC_NODE)
    message(FATAL_ERROR "mtac needs Node 20.19 or newer: install it, or set MTAC_NODE to it.")
  endif()
  set(program "${mtac_ROOT_DIRECTORY}/dist/cli/main.js")
  if(NOT EXISTS "${program}")
    message(FATAL_ERROR "mtac is not installed whole: ${program} is missing. Install the package again.")
  endif()
  set(${result} "${MTAC_NODE}" "${program}" PARENT_SCOPE)
endfunction()

# The architectures among those of CMake that mtac can plan for: 80, 90a-real, … but not native or all.
function(_mtac_architectures result)
  set(names "")
  foreach(each IN LISTS ARGN)
    if(each MATCHES "^(sm_)?([0-9]+[af]?)(-real|-virtual)?$")
      list(APPEND names "sm_${CMAKE_MATCH_2}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES names)
  set(${result} "${names}" PARENT_SCOPE)
endfunction()

# Stops where another spec of the target has an attention of that name: one header, and one of both functions, would win in silence.
function(_mtac_claim target spec attention)
  get_property(owner GLOBAL PROPERTY "_mtac_${target}_${attention}")
  if(owner AND NOT owner STREQUAL spec)
    message(FATAL_ERROR "mtac_add_kernels(${target}): ${owner} and ${spec} both have an attention ${attention}. Rename one, or give them targets of their own.")
  endif()
  set_property(GLOBAL PROPERTY "_mtac_${target}_${attention}" "${spec}")
endfunction()

# What CUDA's kernels are planned for (as options of mtac) and compiled for (as CMake names them).
function(_mtac_cuda_options target arch_result options_result)
  set(asked "${ARGN}")
  set(named "${asked}")
  if(NOT asked AND TARGET "${target}")
    get_target_property(asked "${target}" CUDA_ARCHITECTURES)
  endif()
  if(NOT asked)
    set(asked "${CMAKE_CUDA_ARCHITECTURES}")
  endif()
  _mtac_compiled_for(architectures "${asked}" 80)
  _mtac_architectures(planned ${architectures})
  if(NOT planned)
    if(named)
      message(FATAL_ERROR "mtac_add_kernels(${target}): write ARCHITECTURES as 80, 90a or the like, not ${named}.")
    endif()
    set(planned sm_80)
  endif()
  string(REPLACE ";" "," planned "${planned}")
  set(${arch_result} "${architectures}" PARENT_SCOPE)
  set(${options_result} --no-ptxas --arch "${planned}" PARENT_SCOPE)
endfunction()

function(mtac_add_kernels target spec)
  cmake_parse_arguments(PARSE_ARGV 2 arg "GRAD" "TARGET;LENGTH;SCHEDULE;OUTPUT_DIRECTORY" "NAMES;ARCHITECTURES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "mtac_add_kernels(${target} ${spec}): what is ${arg_UNPARSED_ARGUMENTS}? One call takes one spec.")
  endif()
  if(arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "mtac_add_kernels(${target} ${spec}): ${arg_KEYWORDS_MISSING_VALUES} needs a value.")
  endif()
  get_filename_component(spec "${spec}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${spec}")
    message(FATAL_ERROR "mtac_add_kernels(${target}): there is no ${spec}.")
  endif()
  # Folders and lists of CMake's do not bear every character that a file's name may have.
  get_filename_component(spec_name "${spec}" NAME_WE)
  string(REGEX REPLACE "[^A-Za-z0-9_.-]" "_" spec_name "${spec_name}")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${target}.mtac/${spec_name}")
  if(arg_OUTPUT_DIRECTORY)
    get_filename_component(folder "${arg_OUTPUT_DIRECTORY}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
  endif()

  if(NOT arg_TARGET)
    set(arg_TARGET cuda)
  endif()
  get_property(components GLOBAL PROPERTY _mtac_components)
  if(NOT arg_TARGET IN_LIST components)
    message(FATAL_ERROR "mtac_add_kernels(${target}): this project found mtac for ${components} only. Write TARGET ${components}, or find_package(mtac COMPONENTS ${arg_TARGET}).")
  endif()
  set(options --target "${arg_TARGET}" --no-launcher --json --out "${folder}")
  if(arg_TARGET STREQUAL "cuda")
    set(extension cu)
    set(language CUDA)
    _mtac_cuda_options("${target}" architectures own_options ${arg_ARCHITECTURES})
    list(APPEND options ${own_options})
  else()
    set(extension c)
    set(language C)
    if(arg_ARCHITECTURES)
      message(FATAL_ERROR "mtac_add_kernels(${target}): ARCHITECTURES are CUDA's; write -march into CMAKE_C_FLAGS.")
    endif()
  endif()
  if(arg_GRAD)
    if(NOT arg_TARGET STREQUAL "cpu")
      message(FATAL_ERROR "mtac_add_kernels(${target}): GRAD is the processor's: CUDA's C API has no gradients. Write TARGET cpu, or leave GRAD out.")
    endif()
    list(APPEND options --grad)
  endif()
  if(arg_LENGTH)
    list(APPEND options --length "${arg_LENGTH}")
  endif()
  if(arg_SCHEDULE)
    list(APPEND options --schedule "${arg_SCHEDULE}")
  endif()

  _mtac_command(command)
  set(sources "")
  set(names ${arg_NAMES})
  if(NOT names)
    set(names "every attention")
  endif()
  foreach(name IN LISTS names)
    set(chosen "")
    if(arg_NAMES)
      set(chosen --name "${name}")
    endif()
    execute_process(
      COMMAND ${command} compile "${spec}" ${options} ${chosen}
      OUTPUT_VARIABLE report
      ERROR_VARIABLE complaints
      RESULT_VARIABLE status
    )
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "mtac could not compile ${spec}:\n${complaints}")
    endif()
    if(complaints MATCHES "warning")
      message(WARNING "${complaints}")
    endif()
    string(JSON count LENGTH "${report}" reads)
    math(EXPR last "${count} - 1")
    foreach(index RANGE ${last})
      string(JSON file GET "${report}" reads ${index})
      string(REPLACE ";" "\\;" file "${file}")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    endforeach()
    string(JSON count LENGTH "${report}" files)
    math(EXPR last "${count} - 1")
    foreach(index RANGE ${last})
      string(JSON file GET "${report}" files ${index})
      if(file MATCHES "\\.${extension}$")
        list(APPEND sources "${folder}/${file}")
      elseif(file MATCHES "^(.+)\\.h$")
        _mtac_claim("${target}" "${spec} (${arg_TARGET})" "${CMAKE_MATCH_1}")
      endif()
    endforeach()
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${mtac_ROOT_DIRECTORY}/package.json")

  if(NOT TARGET "${target}")
    add_library("${target}" STATIC)
    set_target_properties("${target}" PROPERTIES LINKER_LANGUAGE "${language}" POSITION_INDEPENDENT_CODE ON)
  endif()
  # Headers of generated kernels are the target's interface where others can link to it.
  target_include_directories("${target}" PUBLIC "${folder}")
  if(arg_TARGET STREQUAL "cpu")
    _mtac_add_c("${target}" ${sources})
    return()
  endif()
  target_sources("${target}" PRIVATE ${sources})
  target_link_libraries("${target}" PUBLIC CUDA::cudart)
  target_compile_features("${target}" PRIVATE cuda_std_17)
  if(architectures)
    set_property(TARGET "${target}" PROPERTY CUDA_ARCHITECTURES ${architectures})
  endif()
endfunction()
