# attention along_keys, from folded.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_along_keys:
#
#   include(path/to/along_keys.cmake)
#   target_link_libraries(my_program PRIVATE mtac_along_keys)
#
# CMAKE_CUDA_ARCHITECTURES, where it is set, says which devices to compile for.

# Before the language: enabling it sets a default.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(mtac_along_keys STATIC
  "${CMAKE_CURRENT_LIST_DIR}/along_keys.cu"
)
target_include_directories(mtac_along_keys PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(mtac_along_keys PUBLIC CUDA::cudart)
target_compile_features(mtac_along_keys PRIVATE cuda_std_17)
set_target_properties(mtac_along_keys PROPERTIES POSITION_INDEPENDENT_CODE ON)
