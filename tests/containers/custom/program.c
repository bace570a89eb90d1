#define _GNU_SOURCE
// A training and serving container without any toolkit: `train` learns the mean of all numbers of channel "training",
// `serve` answers with it. Built static, it is the only file of its image.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char* read_text(const char* path, char* text, size_t size) {
    FILE* file = fopen(path, "r");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    text[length] = '\0';
    if (file) fclose(file);
    return text;
}

static int fail(const char* why, int code) {
    FILE* file = fopen("/opt/ml/output/failure", "w");
    if (file) fputs(why, file), fclose(file);
    return code;
}

static void stop(int signal) {
    (void)signal;
    FILE* file = fopen("/opt/ml/model/stopped.txt", "w");
    if (file) fputs("asked to stop\n", file), fclose(file);
    _exit(0);
}

static void end(int signal) {
    (void)signal;
    _exit(0);
}

// The value of a hyperparameter, or of the last one of that name; "" when there is none.
static const char* parameter(const char* all, const char* name, char* value, size_t size) {
    char key[128];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char* at = strstr(all, key);
    size_t length = 0;
    for (at = at ? at + strlen(key) : ""; *at && *at != '"' && length + 1 < size; ++at) value[length++] = *at;
    value[length] = '\0';
    return value;
}

static int train(int argc, char** argv) {
    static char parameters[65536], text[1 << 20];
    char value[4096];
    read_text("/opt/ml/input/config/hyperparameters.json", parameters, sizeof parameters);
    for (int i = 0; i < argc; ++i) printf("argument %d: %s\n", i, argv[i]);
    printf("hyperparameters: %s\n", parameters);
    printf("resources: %s\n", read_text("/opt/ml/input/config/resourceconfig.json", text, sizeof text));
    printf("variable: %s\n", getenv("MINE") ? getenv("MINE") : "");
    printf("of the image: %s\n", getenv("OF_THE_IMAGE") ? getenv("OF_THE_IMAGE") : "");
    printf("credentials: %s\n", getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
                                        getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") ? "yes" : "no");
    printf("folder: %s\n", getcwd(text, sizeof text));
    if (strcmp(argv[argc - 1], "beside") == 0) return 0;
    if (*parameter(parameters, "fail", value, sizeof value)) return fail(value, 3);
    signal(SIGTERM, stop);
    printf("ready\n");
    fflush(stdout);
    const int seconds = atoi(parameter(parameters, "sleep", value, sizeof value));
    if (seconds > 0) sleep((unsigned)seconds);
    double sum = 0;
    long count = 0;
    DIR* folder = opendir("/opt/ml/input/data/training");
    for (struct dirent* entry; folder && (entry = readdir(folder));) {
        char path[1024];
        snprintf(path, sizeof path, "/opt/ml/input/data/training/%s", entry->d_name);
        FILE* file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        for (double number; file && fscanf(file, "%lf%*[, \n]", &number) == 1; ++count) sum += number;
        if (file) fclose(file);
    }
    if (count == 0) return fail("there are no numbers", 4);
    FILE* model = fopen("/opt/ml/model/mean.txt", "w");
    if (!model) return fail("cannot write the model", 5);
    fprintf(model, "%.6f", sum / (double)count);
    fclose(model);
    printf("mean=%.6f;\n", sum / (double)count);
    return 0;
}

static void answer(int connection, int status, const char* body) {
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 %d Answer\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
             status, strlen(body));
    if (write(connection, head, strlen(head)) < 0 || write(connection, body, strlen(body)) < 0) perror("write");
}

static int serve(void) {
    static char mean[4096], request[1 << 16], body[1 << 16];
    const char* status = getenv("PING_STATUS");
    const char* pings = getenv("EXIT_AFTER_PINGS");
    int asked = 0;
    const char* port = getenv("SAGEMAKER_BIND_TO_PORT");
    signal(SIGTERM, end);  // as the first process of a container it would not hear of it else
    read_text("/opt/ml/model/mean.txt", mean, sizeof mean);
    const int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port ? port : "8080"))};
    if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 64) != 0) return perror("bind"), 1;
    printf("serving the mean %s\n", mean);
    fflush(stdout);
    for (;;) {
        const int connection = accept(listener, NULL, NULL);
        size_t length = 0;
        const char* end = NULL;
        for (ssize_t got = 1; got > 0;) {
            const char* told = strcasestr(request, "content-length:");
            end = strstr(request, "\r\n\r\n");
            if (end && strlen(end + 4) >= (told && told < end ? (size_t)atoi(told + 15) : 0)) break;
            got = read(connection, request + length, sizeof request - 1 - length);
            if (got > 0) length += (size_t)got, request[length] = '\0';
        }
        if (end && strncmp(request, "GET /ping", 9) == 0) {
            answer(connection, status ? atoi(status) : 200, "");
            if (pings && ++asked == atoi(pings)) return 9;
        } else if (end && strcmp(end + 4, "die") == 0) {
            return 7;
        } else if (end) {
            snprintf(body, sizeof body, "mean %s of %s", mean, end + 4);
            answer(connection, 200, body);
            printf("answered %s\n", end + 4);
            fflush(stdout);
        }
        close(connection);
        memset(request, 0, sizeof request);
    }
}

int main(int argc, char** argv) {
    const char* word = argc > 1 ? argv[argc - 1] : "";
    if (strcmp(word, "serve") == 0) return serve();
    return train(argc, argv);
}
