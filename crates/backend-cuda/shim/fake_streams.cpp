// Streams, events, captures and graphs of the fake libcuda.
//
// Work runs late: when something waits for it. On device 0 never earlier; on the others, whose number
// is a seed, some of it earlier, by chance, as a GPU may be quick or slow. So memory that is used
// again too soon, or read before it is there, shows.
#include "fake_cuda.h"

#include <algorithm>

namespace fake {
std::atomic<int> broken[DEVICES];
std::atomic<long> live_graphs, live_execs, live_streams;

namespace {
std::mutex streams_lock;
std::map<Stream*, std::shared_ptr<Stream>> streams;

std::mutex captures_lock;
std::vector<Stream*> captures;

std::mutex graphs_lock;
std::map<u64, long> named;

std::shared_ptr<Stream> share(Stream* stream) {
    std::lock_guard<std::mutex> guard(streams_lock);
    auto found = streams.find(stream);
    if (found == streams.end()) stop("a stream", "it is used and was destroyed, or never made");
    return found->second;
}

/// Does queued work until so many are done; the stream is locked.
void work_off(Stream& stream, u64 until) {
    while (stream.done < until && !stream.queue.empty()) {
        Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        // After a fault nothing runs any more.
        if (!broken[stream.ordinal]) work.run();
        stream.done++;
    }
}

/// How many works of the queue a device of this number has done by now, before anybody waits.
u64 early(Stream& stream) {
    if (stream.ordinal == 0) return stream.done;
    stream.random ^= stream.random << 13;
    stream.random ^= stream.random >> 7;
    stream.random ^= stream.random << 17;
    // Odd ones mostly keep up, even ones mostly do not.
    if (stream.ordinal % 2 == 1) return stream.random % 4 ? stream.queued : stream.done;
    return stream.random % 4 ? stream.done : stream.done + stream.random / 4 % (stream.queue.size() + 1);
}
}  // namespace

int enqueue(Stream* stream, Work work) {
    if (!stream) {
        // The legacy stream waits for all others.
        finish(current_device());
        work.run();
        return broken[current_device()];
    }
    {
        std::lock_guard<std::mutex> guard(captures_lock);
        if (stream->capturing) {
            if (stream->invalid) return STREAM_CAPTURE_INVALIDATED;
            stream->recorded.push_back(std::move(work));
            return SUCCESS;
        }
    }
    auto shared = share(stream);
    std::lock_guard<std::mutex> guard(shared->lock);
    if (broken[shared->ordinal]) return broken[shared->ordinal];
    shared->queue.push_back(std::move(work));
    shared->queued++;
    work_off(*shared, is_set_to("CUDA_LAUNCH_BLOCKING", "1") ? shared->queued : early(*shared));
    return broken[shared->ordinal];
}

int finish(Stream& stream, u64 until) {
    std::lock_guard<std::mutex> guard(stream.lock);
    work_off(stream, until);
    return broken[stream.ordinal];
}

void finish(int ordinal) {
    std::vector<std::shared_ptr<Stream>> all;
    {
        std::lock_guard<std::mutex> guard(streams_lock);
        for (auto& [_, stream] : streams)
            if (ordinal < 0 || stream->ordinal == ordinal) all.push_back(stream);
    }
    for (auto& stream : all) finish(*stream, ~0ull);
}

bool refused_in_capture() {
    std::lock_guard<std::mutex> guard(captures_lock);
    bool refused = false;
    // Modes: 0 global: no thread may; 1 thread-local: the capturing one may not; 2 relaxed.
    for (Stream* stream : captures)
        if (stream->mode == 0 || (stream->mode == 1 && stream->by == std::this_thread::get_id()))
            refused = stream->invalid = true;
    return refused;
}

bool waited_for_device() {
    std::lock_guard<std::mutex> guard(captures_lock);
    for (Stream* stream : captures) stream->invalid = true;
    return !captures.empty();
}

bool is_capturing(Stream* stream) {
    std::lock_guard<std::mutex> guard(captures_lock);
    return stream && stream->capturing;
}

void invalidate(Stream* stream) {
    std::lock_guard<std::mutex> guard(captures_lock);
    stream->invalid = true;
}

void name_in_graph(const std::vector<Work>& works, int change) {
    std::lock_guard<std::mutex> guard(graphs_lock);
    for (const Work& work : works)
        for (u64 allocation : work.names) {
            long& count = named[allocation];
            count += change;
            if (count == 0) named.erase(allocation);
        }
}

bool is_named_in_graph(u64 allocation) {
    std::lock_guard<std::mutex> guard(graphs_lock);
    return named.count(allocation) > 0;
}
}  // namespace fake

using namespace fake;

namespace {
struct Event {
    std::shared_ptr<Stream> stream;
    u64 after = 0;
};
/// What a capture made, and what it was made executable into.
struct Graph {
    std::vector<Work> works;
};
struct Exec {
    std::shared_ptr<std::vector<Work>> works;
};
}  // namespace

ENTRY cuStreamCreate(Stream** stream, unsigned) {
    int ordinal = current_device();
    auto made = std::make_shared<Stream>();
    made->ordinal = ordinal;
    made->random = u64(ordinal) * 0x9E3779B97F4A7C15ull + 1;
    std::lock_guard<std::mutex> guard(streams_lock);
    *stream = made.get();
    streams[made.get()] = made;
    live_streams++;
    return SUCCESS;
}
ENTRY cuStreamDestroy_v2(Stream* stream) {
    auto shared = share(stream);
    if (is_capturing(stream)) stop("cuStreamDestroy", "the stream is being captured");
    finish(*shared, ~0ull);
    std::lock_guard<std::mutex> guard(streams_lock);
    streams.erase(stream);
    live_streams--;
    return SUCCESS;
}
ENTRY cuStreamSynchronize(Stream* stream) {
    waits_ever++;
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    if (is_capturing(stream)) {
        invalidate(stream);
        return STREAM_CAPTURE_UNSUPPORTED;
    }
    if (!stream) {
        finish(current_device());
        return broken[current_device()];
    }
    return finish(*share(stream), ~0ull);
}
ENTRY cuCtxSynchronize() {
    if (waited_for_device()) return STREAM_CAPTURE_UNSUPPORTED;
    finish(current_device());
    return broken[current_device()];
}
ENTRY cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* argument) {
    return enqueue(stream, {[=] { function(argument); }, {}});
}

// ---- events

ENTRY cuEventCreate(Event** event, unsigned) {
    *event = new Event;
    return SUCCESS;
}
ENTRY cuEventDestroy_v2(Event* event) {
    delete event;
    return SUCCESS;
}
ENTRY cuEventRecord(Event* event, Stream* stream) {
    if (!stream || is_capturing(stream)) return INVALID_VALUE;  // the backend has no need of it
    event->stream = share(stream);
    std::lock_guard<std::mutex> guard(event->stream->lock);
    event->after = event->stream->queued;
    return broken[event->stream->ordinal];
}
ENTRY cuEventSynchronize(Event* event) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    return event->stream ? finish(*event->stream, event->after) : SUCCESS;
}
ENTRY cuEventQuery(Event* event) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    if (!event->stream) return SUCCESS;
    std::lock_guard<std::mutex> guard(event->stream->lock);
    return event->stream->done < event->after ? NOT_READY : SUCCESS;
}
ENTRY cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    if (is_capturing(stream)) return STREAM_CAPTURE_UNSUPPORTED;  // the backend has one stream
    return event->stream ? finish(*event->stream, event->after) : SUCCESS;
}

// ---- captures and graphs

ENTRY cuStreamBeginCapture_v2(Stream* stream, int mode) {
    if (is_set_to("SHIM_FAIL_CAPTURE", "begin")) return UNKNOWN;
    if (!stream) return STREAM_CAPTURE_UNSUPPORTED;
    std::lock_guard<std::mutex> guard(captures_lock);
    if (stream->capturing) return INVALID_VALUE;
    stream->capturing = true;
    stream->invalid = false;
    stream->mode = mode;
    stream->by = std::this_thread::get_id();
    stream->recorded.clear();
    captures.push_back(stream);
    return SUCCESS;
}
ENTRY cuStreamEndCapture(Stream* stream, Graph** graph) {
    *graph = nullptr;
    std::lock_guard<std::mutex> guard(captures_lock);
    if (!stream->capturing) return INVALID_VALUE;
    if (stream->mode != 2 && stream->by != std::this_thread::get_id()) return STREAM_CAPTURE_WRONG_THREAD;
    stream->capturing = false;
    captures.erase(std::find(captures.begin(), captures.end(), stream));
    std::vector<Work> recorded = std::move(stream->recorded);
    stream->recorded.clear();
    if (stream->invalid || is_set_to("SHIM_FAIL_CAPTURE", "end")) return STREAM_CAPTURE_INVALIDATED;
    *graph = new Graph{std::move(recorded)};
    name_in_graph((*graph)->works, 1);
    live_graphs++;
    return SUCCESS;
}
ENTRY cuStreamIsCapturing(Stream* stream, int* status) {
    *status = is_capturing(stream) ? stream->invalid ? 2 : 1 : 0;
    return SUCCESS;
}
ENTRY cuGraphInstantiateWithFlags(Exec** exec, Graph* graph, u64) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    if (is_set_to("SHIM_FAIL_CAPTURE", "instantiate")) return OUT_OF_MEMORY;
    *exec = new Exec{std::make_shared<std::vector<Work>>(graph->works)};
    name_in_graph(graph->works, 1);
    live_execs++;
    return SUCCESS;
}
ENTRY cuGraphUpload(Exec*, Stream* stream) {
    if (is_set_to("SHIM_FAIL_CAPTURE", "upload")) return OUT_OF_MEMORY;
    return is_capturing(stream) ? STREAM_CAPTURE_UNSUPPORTED : SUCCESS;
}
ENTRY cuGraphLaunch(Exec* exec, Stream* stream) {
    if (is_set_to("SHIM_FAIL_CAPTURE", "first")) return OUT_OF_MEMORY;
    // A graph may be destroyed while it runs.
    auto works = exec->works;
    int ordinal = stream ? stream->ordinal : current_device();
    return enqueue(stream, {[works, ordinal] {
        for (auto& work : *works)
            if (!broken[ordinal]) work.run();
    }, {}});
}
ENTRY cuGraphExecDestroy(Exec* exec) {
    name_in_graph(*exec->works, -1);
    live_execs--;
    delete exec;
    return SUCCESS;
}
ENTRY cuGraphDestroy(Graph* graph) {
    name_in_graph(graph->works, -1);
    live_graphs--;
    delete graph;
    return SUCCESS;
}
