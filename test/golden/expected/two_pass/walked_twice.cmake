# attention walked_twice, from two_pass.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.
#
# Adds the static library mtac_walked_twice:
#
#   include(path/to/walked_twice.cmake)
#   target_link_libraries(my_program PRIVATE mtac_walked_twice)
#
# CMAKE_CUDA_ARCHITECTURES, where it is set, says which devices to compile for.

# Before the language: enabling it sets a default.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80")
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(mtac_walked_twice STATIC
  "${CMAKE_CURRENT_LIST_DIR}/walked_twice.cu"
)
target_include_directories(mtac_walked_twice PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(mtac_walked_twice PUBLIC CUDA::cudart)
target_compile_features(mtac_walked_twice PRIVATE cuda_std_17)
set_target_properties(mtac_walked_twice PROPERTIES POSITION_INDEPENDENT_CODE ON)
