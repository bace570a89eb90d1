#include "resources/environments/requirements.h"

#include <gtest/gtest.h>

#include "resources/environments/environments.h"

namespace millwright::resources {
namespace {

TEST(Requirements, OnlyWhatPipReadsDecides) {
    EXPECT_EQ(normalised_requirements("# data\r\n  pandas==2.1.4  # frames\n\nscikit-\\\nlearn\n--pre\nx#y"),
              "pandas==2.1.4\nscikit-learn\n--pre\nx#y\n");
    EXPECT_EQ(normalised_requirements(""), "");
    EXPECT_EQ(normalised_requirements("a\\"), "a\n");
}

TEST(Requirements, NamesAndAddressesCanBeShared) {
    for (const char* text :
         {"", "# nothing", "pandas", "pandas>=1,<3", "scikit-learn[x] == 1.2 ; python_version < '3.12'", "--pre\nnumpy",
          "--index-url https://index.example/simple\nx", "-i https://index.example/simple", "--only-binary=:all:",
          "x @ https://host.example/x-1-py3-none-any.whl", "git+https://host.example/x.git@main#egg=x",
          "https://host.example/x.tar.gz", "numpy==1.0 --hash=sha256:00", "zope.interface", "requests"})
        EXPECT_TRUE(can_be_shared(text)) << text;
}

TEST(Requirements, WhatLiesBesideTheCodeCannot) {
    for (const char* text : {"-e .",
                             "-e.",
                             "--editable=.",
                             "-r more.txt",
                             "-rmore.txt",
                             "--requirement more.txt",
                             "-c pins.txt",
                             "./x",
                             "../x",
                             ".",
                             "wheels/x-1-py3-none-any.whl",
                             "x-1-py3-none-any.whl",
                             "x @ file:///opt/ml/code/x",
                             "file:///opt/x.whl",
                             "--find-links wheels",
                             "-f ./wheels",
                             "pandas\n-r more.txt",
                             "x==${VERSION}",
                             "--extra-index-url https://${TOKEN}@index.example",
                             "/opt/ml/code/x",
                             "x.tar.gz"})
        EXPECT_FALSE(can_be_shared(text)) << text;
    EXPECT_EQ(line_bound_to_the_code("pandas\n -e . # here\n"), "-e .");
}

}  // namespace
}  // namespace millwright::resources
