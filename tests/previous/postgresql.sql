CREATE TABLE public.accounts (
    id text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    disabled_at timestamp without time zone
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.backups (
    target text NOT NULL,
    kept text NOT NULL,
    warning text,
    set_up_at timestamp without time zone NOT NULL,
    tried_at timestamp without time zone,
    succeeded_at timestamp without time zone,
    read_at timestamp without time zone,
    said text,
    error text,
    read_said text,
    read_error text
);
CREATE TABLE public.chunks (
    job_id text NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    plan text NOT NULL,
    state text NOT NULL,
    key text,
    build text,
    frames integer NOT NULL,
    duration_s double precision NOT NULL,
    frames_done integer NOT NULL,
    speed double precision,
    attempt integer NOT NULL,
    failures integer NOT NULL,
    interruptions integer NOT NULL,
    repeats integer NOT NULL,
    not_before timestamp without time zone,
    node text,
    lease_until timestamp without time zone,
    paused_reason text,
    object_key text,
    size_bytes bigint,
    start_s double precision,
    fingerprint text,
    warning text,
    error_code text,
    error text
);
CREATE TABLE public.contents (
    id text NOT NULL,
    account_id text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    object_key text NOT NULL,
    media_type text NOT NULL,
    state text NOT NULL,
    web_ready boolean NOT NULL,
    duration_s double precision,
    width integer,
    height integer,
    facts text,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.doomed_objects (
    object_key text NOT NULL,
    delete_after timestamp without time zone NOT NULL
);
CREATE TABLE public.files (
    id text NOT NULL,
    content_id text NOT NULL,
    account_id text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    visibility text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    deleted_at timestamp without time zone
);
CREATE TABLE public.jobs (
    id text NOT NULL,
    content_id text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    state text NOT NULL,
    priority integer NOT NULL,
    attempt integer NOT NULL,
    failures integer NOT NULL,
    interruptions integer NOT NULL,
    not_before timestamp without time zone,
    progress double precision NOT NULL,
    speed double precision,
    eta_s double precision,
    node text,
    lease_until timestamp without time zone,
    plan text,
    plan_version integer,
    plan_reasons text,
    rung text,
    command text,
    warning text,
    error_code text,
    error text,
    log text,
    chunks_total integer NOT NULL,
    chunks_done integer NOT NULL,
    chunks_repeated integer NOT NULL,
    created_at timestamp without time zone NOT NULL,
    started_at timestamp without time zone,
    finished_at timestamp without time zone,
    stage text NOT NULL,
    encoder text,
    fingerprint text,
    paused_reason text,
    rejections integer NOT NULL,
    restarts integer NOT NULL
);
CREATE TABLE public.links (
    id text NOT NULL,
    digest text NOT NULL,
    account_id text NOT NULL,
    file_id text NOT NULL,
    rendition_id text,
    subtitles_id text,
    quality text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    expires_at timestamp without time zone NOT NULL,
    revoked_at timestamp without time zone
);
CREATE TABLE public.login_failures (
    subject text NOT NULL,
    failures integer NOT NULL,
    last_at timestamp without time zone NOT NULL,
    blocked_until timestamp without time zone NOT NULL
);
CREATE TABLE public.nodes (
    name text NOT NULL,
    version text NOT NULL,
    encoder text,
    viewers integer NOT NULL,
    viewers_at timestamp without time zone,
    throttle text,
    throttle_since timestamp without time zone,
    power text,
    power_at timestamp without time zone,
    paused_s double precision NOT NULL,
    started_at timestamp without time zone NOT NULL,
    seen_at timestamp without time zone NOT NULL
);
CREATE TABLE public.operations (
    id text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    asked_by text NOT NULL,
    commit_id text,
    release text,
    message text,
    created_at timestamp without time zone NOT NULL,
    started_at timestamp without time zone,
    finished_at timestamp without time zone
);
CREATE TABLE public.power_changes (
    id text NOT NULL,
    node text NOT NULL,
    at timestamp without time zone NOT NULL,
    throttle text NOT NULL,
    reasons text NOT NULL,
    on_mains boolean,
    percent double precision,
    temperature_c double precision
);
CREATE TABLE public.purge_holds (
    holder text NOT NULL,
    held_until timestamp without time zone NOT NULL
);
CREATE TABLE public.refresh_tokens (
    digest text NOT NULL,
    session_id text NOT NULL,
    parent text,
    jti text NOT NULL,
    issued_at timestamp without time zone NOT NULL,
    expires_at timestamp without time zone NOT NULL,
    spent_at timestamp without time zone,
    access_seen_at timestamp without time zone,
    dead_at timestamp without time zone
);
CREATE TABLE public.renditions (
    id text NOT NULL,
    content_id text NOT NULL,
    rung text NOT NULL,
    object_key text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    duration_s double precision NOT NULL,
    video_codec text NOT NULL,
    audio_codec text,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.sessions (
    id text NOT NULL,
    account_id text NOT NULL,
    user_agent text NOT NULL,
    address text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    last_used_at timestamp without time zone NOT NULL,
    expires_at timestamp without time zone NOT NULL,
    revoked_at timestamp without time zone
);
CREATE TABLE public.subtitles (
    id text NOT NULL,
    content_id text NOT NULL,
    number integer NOT NULL,
    codec text NOT NULL,
    language text,
    title text,
    is_default boolean NOT NULL,
    is_forced boolean NOT NULL,
    is_for_hearing_impaired boolean NOT NULL,
    object_key text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    cues integer NOT NULL,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.upload_parts (
    upload_id text NOT NULL,
    number integer NOT NULL,
    etag text NOT NULL,
    size_bytes bigint NOT NULL
);
CREATE TABLE public.uploads (
    id text NOT NULL,
    account_id text NOT NULL,
    state text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    visibility text NOT NULL,
    announced_sha256 text,
    length_bytes bigint,
    offset_bytes bigint NOT NULL,
    object_key text NOT NULL,
    multipart_id text,
    attempt integer NOT NULL,
    tail_attempt integer NOT NULL,
    resumable boolean NOT NULL,
    lease_until timestamp without time zone,
    file_id text,
    error_code text,
    error text,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    expires_at timestamp without time zone NOT NULL
);
INSERT INTO public.accounts VALUES ('d5c72724-9809-4745-9c1f-0716787c2d2b', 'ann', 'owner', 'x', '2026-11-30 07:06:55.256895', NULL);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.chunks VALUES ('e2bcd042-a133-46be-970e-36972ee09109', 0, 'audio', '{"span": null, "from_copy": false}', 'done', 'd77bdfd07b1df3647f1bd945b696b4adaec9d3086fd5c70b3c40291b23c9fe60', 'aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 0, 10.008, 0, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/e2bcd042-a133-46be-970e-36972ee09109/0-1.mp4', 203205, NULL, '', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', 2, 'video', '{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}', 'done', '542344086af6955df099cb7b4e6ad58833ba5e1095e3f6e375ca9471f2c246e2', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.48, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/4cf0e2de-ac22-4586-8a40-64f4656a1317/2-1.mp4', 18637, 2.55, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', 0, 'audio', '{"span": null, "from_copy": false}', 'done', '2594881032dc4b38f88f7cf50cf6cee3c14d18a872233074dec70acb59b02af6', 'aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 0, 10.008, 0, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/4cf0e2de-ac22-4586-8a40-64f4656a1317/0-1.mp4', 203205, NULL, '', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 3, 'video', '{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}', 'running', NULL, NULL, 25, 2.52, 0, NULL, 1, 0, 0, 0, NULL, 'n2', '2026-11-30 07:10:29.834931', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 4, 'video', '{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}', 'queued', NULL, NULL, 25, 2.44, 0, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('e2bcd042-a133-46be-970e-36972ee09109', 1, 'video', '{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}', 'done', '8c84a7db7b58591ec487cc8c58d79acee4162a5d3665f5482e9783ce1ba5019a', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.52, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/e2bcd042-a133-46be-970e-36972ee09109/1-1.mp4', 18404, 0.03, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', 4, 'video', '{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}', 'done', '29ab9044422b0f2460e6dcdeb7f5c876142c141e829a334c757f1e7ae3c1508f', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.44, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/4cf0e2de-ac22-4586-8a40-64f4656a1317/4-1.mp4', 20042, 7.55, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', 3, 'video', '{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}', 'done', 'ef11cf1e9429b8f1218dd8654f2f88145dad755c0d1a934b8c49b727c4a1db3c', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.52, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/4cf0e2de-ac22-4586-8a40-64f4656a1317/3-1.mp4', 19645, 5.03, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('e2bcd042-a133-46be-970e-36972ee09109', 2, 'video', '{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}', 'queued', NULL, NULL, 25, 2.48, 0, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', 1, 'video', '{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}', 'done', '9f66a355ba9a27ba0acf5c89254dbccb7079cc0d0baf3f8d0a519f3ac7cc6a46', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.52, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/4cf0e2de-ac22-4586-8a40-64f4656a1317/1-1.mp4', 18404, 0.03, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('e2bcd042-a133-46be-970e-36972ee09109', 3, 'video', '{"span": "{\"clock_s\":5.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":4.99,\"last_s\":7.43,\"least_frames\":25,\"number\":2,\"seek_s\":5.02,\"start_s\":5.03,\"to_s\":7.49,\"version\":1}", "from_copy": false}', 'queued', NULL, NULL, 25, 2.52, 0, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('e2bcd042-a133-46be-970e-36972ee09109', 4, 'video', '{"span": "{\"clock_s\":7.55,\"duration_s\":2.44,\"frames\":25,\"from_s\":7.49,\"last_s\":9.95,\"least_frames\":25,\"number\":3,\"seek_s\":7.54,\"start_s\":7.55,\"to_s\":null,\"version\":1}", "from_copy": false}', 'queued', NULL, NULL, 25, 2.44, 0, NULL, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 1, 'video', '{"span": "{\"clock_s\":0.03,\"duration_s\":2.52,\"frames\":25,\"from_s\":null,\"last_s\":2.43,\"least_frames\":25,\"number\":0,\"seek_s\":null,\"start_s\":0.03,\"to_s\":2.49,\"version\":1}", "from_copy": false}', 'done', '30b42e30e85785d95523557a347aef3bbd7d3800b0a7e520ac5b1b8dfc7f6541', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.52, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/bc8e226c-47a2-4406-a55f-a92c23541613/1-1.mp4', 18404, 0.03, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 0, 'audio', '{"span": null, "from_copy": false}', 'done', '4f05e54c6605efedee5c11bf1b10e822890b4a0126a71bd8ea982b470a8faa05', 'aac ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 0, 10.008, 0, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/bc8e226c-47a2-4406-a55f-a92c23541613/0-1.mp4', 203205, NULL, '', NULL, NULL, NULL);
INSERT INTO public.chunks VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 2, 'video', '{"span": "{\"clock_s\":2.55,\"duration_s\":2.48,\"frames\":25,\"from_s\":2.49,\"last_s\":4.95,\"least_frames\":25,\"number\":1,\"seek_s\":2.54,\"start_s\":2.55,\"to_s\":4.99,\"version\":1}", "from_copy": false}', 'done', 'c6dcfe48aa8d2e1ee2a9c62b56c9eb20a3c64edc743cd13b02f2e567d6b8907f', 'libx264 ffmpeg version 5.1.9-0+deb12u1 libavcodec59.37.100 libavfilter8.44.100', 25, 2.48, 25, NULL, 1, 0, 0, 0, NULL, NULL, NULL, NULL, 'jobs/bc8e226c-47a2-4406-a55f-a92c23541613/2-1.mp4', 18637, 2.55, 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, NULL, NULL);
INSERT INTO public.contents VALUES ('97e3f5fb-f782-4c5d-9cb0-2691aef5aab5', 'd5c72724-9809-4745-9c1f-0716787c2d2b', '96b854a539c3443abe92b0ce2e00190e', 63789, 'originals/a2b75b38-5ec3-47b9-9f28-b5add4bab26a', 'application/octet-stream', 'stored', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:03.436382');
INSERT INTO public.contents VALUES ('2f0430dc-bf28-4218-b5bc-52487a521ae1', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'aa0a3a3363644fa4980a6bd8d662905f', 63789, 'originals/b5661dab-0573-4da6-ab34-9973b71a0ff3', 'application/octet-stream', 'ready', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:06:55.284845');
INSERT INTO public.contents VALUES ('83e88761-aae0-42cf-bec7-07fabd6647ff', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'a25f65057c2540e88c3692040e42fd9a', 63789, 'originals/e9c1f1c3-297a-460c-8dc2-f78b3bf3425e', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:10.41395');
INSERT INTO public.contents VALUES ('b275a61e-ef27-4598-9d6b-fef3dc917e50', 'd5c72724-9809-4745-9c1f-0716787c2d2b', '2e28a04dc9854ca8943c1434cf287ff0', 63789, 'originals/13d388be-b561-4f4a-83a0-7acfa4c0bf0d', 'application/octet-stream', 'failed', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:01.320424');
INSERT INTO public.contents VALUES ('e5f9a1f1-6a98-4b7c-9d27-f432ca44dce6', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'bb782a35017448f9915a392be0913303', 63789, 'originals/abb88cd3-1915-4cfe-9148-d5d451447601', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:21.815474');
INSERT INTO public.contents VALUES ('de474a19-c814-44ca-80a5-e3ea9c79be9f', 'd5c72724-9809-4745-9c1f-0716787c2d2b', '6e93922423e9421ab9b5a6ffd687468b', 63789, 'originals/83f8518c-0922-4a3e-86e4-2c388ec2500b', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:29.941277');
INSERT INTO public.contents VALUES ('0cb4a984-ae95-42fc-af75-5cbe82848350', 'd5c72724-9809-4745-9c1f-0716787c2d2b', '194d65ccffd94cee8be4c6bd98d3ab84', 63789, 'originals/d43e23b6-bfb4-4852-9832-4771a38173cc', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:31.644877');
INSERT INTO public.contents VALUES ('b9592f01-c1eb-4c42-805b-912b0b41a47d', 'd5c72724-9809-4745-9c1f-0716787c2d2b', '499e885b1fec46b7b25add420cedf869', 19516, 'originals/e3436a9c-f199-428a-a337-2361bc1de74c', 'application/octet-stream', 'processing', false, 2.128, 96, 64, '{"audio":[{"channels":1,"codec":"aac","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":17,"disordered":0,"ends_s":2.176,"hidden":0,"key_interval_s":0.128,"last_s":2.048,"leading":0,"longest_gap_s":0.128,"starts_s":0.0,"untimed":0},"profile":"LC","sample_rate":8000,"title":""}],"bitrate_bps":73368,"brand":"","duration_s":2.128,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":2.176,"size_bytes":19516,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"h264","color_range":"","declared":0,"delay":2,"field_order":"progressive","frame_rate":10.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":10,"matrix":"","packets":{"before_key":0,"count":20,"disordered":0,"ends_s":2.128,"hidden":0,"key_interval_s":1.0,"last_s":2.028,"leading":0,"longest_gap_s":0.1,"starts_s":0.128,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"High","real_frame_rate":10.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:37.777203');
INSERT INTO public.contents VALUES ('3adfda15-e315-41bb-b208-f07e8479dfc2', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'ce4b18f7db934fc5afe11cc426712a42', 19695, 'originals/ee0b526e-bace-4ce6-9c37-779a9fd1256e', 'application/octet-stream', 'processing', false, 2.128, 96, 64, '{"audio":[{"channels":1,"codec":"aac","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":17,"disordered":0,"ends_s":2.176,"hidden":0,"key_interval_s":0.128,"last_s":2.048,"leading":0,"longest_gap_s":0.128,"starts_s":0.0,"untimed":0},"profile":"LC","sample_rate":8000,"title":""}],"bitrate_bps":74041,"brand":"","duration_s":2.128,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":2.176,"size_bytes":19695,"start_s":0.0,"subtitles":[{"codec":"subrip","index":2,"is_default":false,"is_for_hearing_impaired":false,"is_forced":false,"language":"","packets":{"before_key":0,"count":1,"disordered":0,"ends_s":1.6280000000000001,"hidden":0,"key_interval_s":1.0,"last_s":0.628,"leading":0,"longest_gap_s":0.0,"starts_s":0.628,"untimed":0},"title":""}],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"h264","color_range":"","declared":0,"delay":2,"field_order":"progressive","frame_rate":10.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":10,"matrix":"","packets":{"before_key":0,"count":20,"disordered":0,"ends_s":2.128,"hidden":0,"key_interval_s":1.0,"last_s":2.028,"leading":0,"longest_gap_s":0.1,"starts_s":0.128,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"High","real_frame_rate":10.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:34.201476');
INSERT INTO public.contents VALUES ('9a61538c-eec8-4a4f-8dc1-776fab65b040', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'e442dc3c314a4d02b6bd030d3e1305d2', 63789, 'originals/c5da8344-cb9e-493d-927f-95fc9c856e48', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:36.082175');
INSERT INTO public.contents VALUES ('e315a2c6-5a58-4537-aa64-13bcd10fc2d5', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'b68042d66a114b3081b36ab684143e8d', 63789, 'originals/445185cb-9ae6-428f-a09a-33a2e8201e00', 'application/octet-stream', 'processing', false, 10.008, 96, 64, '{"audio":[{"channels":1,"codec":"mp2","index":1,"is_default":false,"language":"","packets":{"before_key":0,"count":139,"disordered":0,"ends_s":10.008,"hidden":0,"key_interval_s":0.072,"last_s":9.936,"leading":0,"longest_gap_s":0.072,"starts_s":0.0,"untimed":0},"profile":"","sample_rate":16000,"title":""}],"bitrate_bps":50990,"brand":"","duration_s":10.008,"format":"matroska,webm","index_first":false,"is_fragmented":false,"reaches_s":10.008,"size_bytes":63789,"start_s":0.0,"subtitles":[],"video":[{"aspect":[1,1],"bit_depth":8,"codec":"mpeg2video","color_range":"tv","declared":0,"delay":1,"field_order":"progressive","frame_rate":25.0,"height":64,"index":0,"is_default":false,"is_still":false,"language":"","level":8,"matrix":"","packets":{"before_key":0,"count":100,"disordered":0,"ends_s":9.989999999999998,"hidden":0,"key_interval_s":2.52,"last_s":9.95,"leading":0,"longest_gap_s":0.12,"starts_s":0.03,"untimed":0},"pixel_format":"yuv420p","primaries":"","profile":"Main","real_frame_rate":25.0,"rotation":0,"tag":"[0][0][0][0]","transfer":"","width":96}]}', '2026-11-30 07:07:39.674271');
INSERT INTO public.contents VALUES ('eae0793a-d75a-453a-801b-4e4ed4ec48bf', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'd68ca4e4e5ac44bc938f3a756b7c2de8', 63789, 'originals/6e7038bd-2af8-4d93-9987-6eef9ccf892c', 'application/octet-stream', 'processing', false, NULL, NULL, NULL, NULL, '2026-11-30 07:07:41.656566');
INSERT INTO public.doomed_objects VALUES ('jobs/e2bcd042-a133-46be-970e-36972ee09109/0-1.mp4', '2026-12-01 07:07:10.370389');
INSERT INTO public.doomed_objects VALUES ('jobs/e2bcd042-a133-46be-970e-36972ee09109/1-1.mp4', '2026-12-01 07:07:10.370389');
INSERT INTO public.files VALUES ('fe1832e0-cb11-4929-b5f5-be498613248e', '2f0430dc-bf28-4218-b5bc-52487a521ae1', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'done.mkv', 'application/octet-stream', 'household', '2026-11-30 07:06:55.284845', '2026-11-30 07:06:55.284845', NULL);
INSERT INTO public.files VALUES ('593ed701-f602-476d-8e75-fed23119b14c', 'b275a61e-ef27-4598-9d6b-fef3dc917e50', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'failed.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:01.320424', '2026-11-30 07:07:01.320424', NULL);
INSERT INTO public.files VALUES ('42d6267f-9fcd-4d80-9915-89c91444e2eb', '97e3f5fb-f782-4c5d-9cb0-2691aef5aab5', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'cancelled.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:03.436382', '2026-11-30 07:07:03.436382', NULL);
INSERT INTO public.files VALUES ('93cdcf4f-1ea8-4347-8570-968781538e39', '83e88761-aae0-42cf-bec7-07fabd6647ff', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'joinable.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:10.41395', '2026-11-30 07:07:10.41395', NULL);
INSERT INTO public.files VALUES ('19def095-25c3-44f3-bb7a-ed43847f8d4e', 'e5f9a1f1-6a98-4b7c-9d27-f432ca44dce6', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'half-chunked.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:21.815474', '2026-11-30 07:07:21.815474', NULL);
INSERT INTO public.files VALUES ('b6e03ab5-c5b9-40ab-a99c-33d5edda84ba', 'de474a19-c814-44ca-80a5-e3ea9c79be9f', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'running.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:29.941277', '2026-11-30 07:07:29.941277', NULL);
INSERT INTO public.files VALUES ('f1a46476-6527-4e1c-ac77-82f01341685e', '0cb4a984-ae95-42fc-af75-5cbe82848350', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'paused.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:31.644877', '2026-11-30 07:07:31.644877', NULL);
INSERT INTO public.files VALUES ('30a58bb2-e085-463d-b9c3-f2ba4d981063', '3adfda15-e315-41bb-b208-f07e8479dfc2', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'subtitles.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:34.201476', '2026-11-30 07:07:34.201476', NULL);
INSERT INTO public.files VALUES ('e2473332-5bd5-41ed-889b-9b60abf635c2', '9a61538c-eec8-4a4f-8dc1-776fab65b040', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'uncut.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:36.082175', '2026-11-30 07:07:36.082175', NULL);
INSERT INTO public.files VALUES ('bb0dc6e7-e3dd-4d4d-9c90-dd61d786d021', 'b9592f01-c1eb-4c42-805b-912b0b41a47d', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'remux.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:37.777203', '2026-11-30 07:07:37.777203', NULL);
INSERT INTO public.files VALUES ('6a1bea2f-0bd2-4c87-bddc-a81117961327', 'e315a2c6-5a58-4537-aa64-13bcd10fc2d5', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'waiting.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:39.674271', '2026-11-30 07:07:39.674271', NULL);
INSERT INTO public.files VALUES ('33420a07-4839-4788-ba0a-c6933ce43b51', 'eae0793a-d75a-453a-801b-4e4ed4ec48bf', 'd5c72724-9809-4745-9c1f-0716787c2d2b', 'probe.mkv', 'application/octet-stream', 'household', '2026-11-30 07:07:41.656566', '2026-11-30 07:07:41.656566', NULL);
INSERT INTO public.jobs VALUES ('b93cd36a-bcd7-4e7b-8515-c55c793351cb', '2f0430dc-bf28-4218-b5bc-52487a521ae1', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:06:55.284845', '2026-11-30 07:06:55.342269', '2026-11-30 07:06:56.653673', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('6203a86e-bb14-43f2-b8e0-ee420a4aa789', '2f0430dc-bf28-4218-b5bc-52487a521ae1', 'rendition', 'encode', 'done', 10, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/b5661dab-0573-4da6-ab34-9973b71a0ff3 -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/6203a86e-bb14-43f2-b8e0-ee420a4aa789-1/film.mp4', NULL, NULL, NULL, '', 0, 0, 0, '2026-11-30 07:06:56.653673', '2026-11-30 07:06:56.725525', '2026-11-30 07:07:01.274796', 'whole', 'libx264', NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('ad3af95c-42b1-4768-bf3b-7eebe77f242b', 'b275a61e-ef27-4598-9d6b-fef3dc917e50', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:01.320424', '2026-11-30 07:07:01.384367', '2026-11-30 07:07:02.936526', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('aa4a81a8-5a40-4bb6-b5ab-e93ece5b14da', 'de474a19-c814-44ca-80a5-e3ea9c79be9f', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:29.941277', '2026-11-30 07:07:29.951521', '2026-11-30 07:07:31.483619', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('86b97450-cad3-4da9-88dd-c974cd85dc75', '9a61538c-eec8-4a4f-8dc1-776fab65b040', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:36.082175', '2026-11-30 07:07:36.088598', '2026-11-30 07:07:37.767968', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('cca28acd-e476-427f-8e9f-711878a2cb48', '0cb4a984-ae95-42fc-af75-5cbe82848350', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:31.644877', '2026-11-30 07:07:31.681512', '2026-11-30 07:07:33.152813', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('8e968536-f181-4f18-93ea-4cf1709b7e2b', '0cb4a984-ae95-42fc-af75-5cbe82848350', 'rendition', 'encode', 'paused', 10, 1, 0, 0, NULL, 0, NULL, NULL, 'n-paused', '2026-11-30 07:10:33.173453', 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/d43e23b6-bfb4-4852-9832-4771a38173cc -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/8e968536-f181-4f18-93ea-4cf1709b7e2b-1/film.mp4', NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:33.152813', '2026-11-30 07:07:33.173453', NULL, 'whole', 'libx264', NULL, 'on battery at 30 %', 0, 0);
INSERT INTO public.jobs VALUES ('bc8e226c-47a2-4406-a55f-a92c23541613', 'e5f9a1f1-6a98-4b7c-9d27-f432ca44dce6', 'rendition', 'encode', 'running', 10, 1, 0, 0, NULL, 0.5, NULL, NULL, 'n2', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -ss 5.020000 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/abb88cd3-1915-4cfe-9148-d5d451447601 -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=start=4.990000:end=7.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -5.030000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/bc8e226c-47a2-4406-a55f-a92c23541613-3-1/chunk.mp4', NULL, NULL, NULL, NULL, 5, 3, 0, '2026-11-30 07:07:22.946744', '2026-11-30 07:07:22.96604', NULL, 'chunks', 'libx264', 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, 0, 0);
INSERT INTO public.jobs VALUES ('fe94cf23-c2d7-401c-b985-0d824c09cb5b', 'de474a19-c814-44ca-80a5-e3ea9c79be9f', 'rendition', 'encode', 'running', 10, 1, 0, 0, NULL, 0, NULL, NULL, 'n-running', '2026-11-30 07:10:31.54232', 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/83f8518c-0922-4a3e-86e4-2c388ec2500b -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/fe94cf23-c2d7-401c-b985-0d824c09cb5b-1/film.mp4', NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:31.483619', '2026-11-30 07:07:31.54232', NULL, 'whole', 'libx264', NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('d608b405-7d6c-4cb4-8e83-bf71c0885d10', '9a61538c-eec8-4a4f-8dc1-776fab65b040', 'rendition', 'quick', 'queued', 10, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:37.767968', NULL, NULL, 'split', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('bae41423-7bb9-454a-96fc-06165ef7e68a', '97e3f5fb-f782-4c5d-9cb0-2691aef5aab5', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:03.436382', '2026-11-30 07:07:03.469414', '2026-11-30 07:07:04.68154', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('acb8ad0c-e7f2-40bf-afd9-eecef573ad5a', 'e315a2c6-5a58-4537-aa64-13bcd10fc2d5', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:39.674271', '2026-11-30 07:07:39.715917', '2026-11-30 07:07:41.621802', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('95bf92e6-7406-43a5-9172-65be27515593', '3adfda15-e315-41bb-b208-f07e8479dfc2', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'remux', 1, '["container is matroska, not MP4"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:34.201476', '2026-11-30 07:07:34.220402', '2026-11-30 07:07:36.036848', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('3b72082a-89ac-41d7-97a3-9f14cd2672ec', 'b9592f01-c1eb-4c42-805b-912b0b41a47d', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'remux', 1, '["container is matroska, not MP4"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:37.777203', '2026-11-30 07:07:37.781382', '2026-11-30 07:07:39.603284', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('eea245ee-6903-4d11-8fa7-6fd9a76a576f', '3adfda15-e315-41bb-b208-f07e8479dfc2', 'subtitles', 'quick', 'queued', 30, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, '["subtitles 2 (subrip) is kept as WebVTT"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:36.040848', NULL, NULL, 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('ba539bda-640e-4a27-9b94-54ecec79dda9', '3adfda15-e315-41bb-b208-f07e8479dfc2', 'rendition', 'quick', 'queued', 10, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, 'remux', 1, '["container is matroska, not MP4"]', 'source', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:36.036848', NULL, NULL, 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('91d0cee5-dfb9-435d-a8fe-8498a39dd596', 'b9592f01-c1eb-4c42-805b-912b0b41a47d', 'rendition', 'quick', 'queued', 10, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, 'remux', 1, '["container is matroska, not MP4"]', 'source', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:39.603284', NULL, NULL, 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('82df833f-42b8-403b-b927-1b10fa88fae8', 'e315a2c6-5a58-4537-aa64-13bcd10fc2d5', 'rendition', 'encode', 'queued', 10, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:41.621802', NULL, NULL, 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('4097f350-942d-4dd2-9da8-1438825704bf', 'eae0793a-d75a-453a-801b-4e4ed4ec48bf', 'probe', 'quick', 'queued', 0, 0, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:41.656566', NULL, NULL, 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('4cf0e2de-ac22-4586-8a40-64f4656a1317', '83e88761-aae0-42cf-bec7-07fabd6647ff', 'rendition', 'quick', 'queued', 10, 1, 0, 0, NULL, 1, NULL, NULL, NULL, NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -ss 7.540000 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/e9c1f1c3-297a-460c-8dc2-f78b3bf3425e -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=start=7.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -7.550000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/4cf0e2de-ac22-4586-8a40-64f4656a1317-4-1/chunk.mp4', NULL, NULL, NULL, '', 5, 5, 0, '2026-11-30 07:07:11.694688', '2026-11-30 07:07:11.726503', NULL, 'join', 'libx264', 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, 0, 0);
INSERT INTO public.jobs VALUES ('ad92b23e-e115-4f4c-b5d7-481bcb48a49c', 'b275a61e-ef27-4598-9d6b-fef3dc917e50', 'rendition', 'encode', 'failed', 10, 3, 3, 0, NULL, 0, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/13d388be-b561-4f4a-83a0-7acfa4c0bf0d -map 0:0 -map 0:1 -map_metadata -1 -map_chapters -1 -sn -dn -disposition:a:0 default -vf scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -c:a aac -b:a 160k -ac 2 -ar:a:0 48000 -af aresample=async=1:first_pts=0 -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/var/lib/nebula/scratch/encode/ad92b23e-e115-4f4c-b5d7-481bcb48a49c-3/film.mp4', NULL, 'ffmpeg_failed', 'ffmpeg ended with status 1.', NULL, 0, 0, 0, '2026-11-30 07:07:02.936526', '2026-11-30 07:07:03.319005', '2026-11-30 07:07:03.40538', 'whole', 'libx264', NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('8cd56f7c-1c77-4259-9797-f850cfd1ec9f', '83e88761-aae0-42cf-bec7-07fabd6647ff', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:10.41395', '2026-11-30 07:07:10.454572', '2026-11-30 07:07:11.694688', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.jobs VALUES ('e2bcd042-a133-46be-970e-36972ee09109', '97e3f5fb-f782-4c5d-9cb0-2691aef5aab5', 'rendition', 'encode', 'cancelled', 10, 2, 0, 0, NULL, 0.25, NULL, NULL, NULL, NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', '64p', 'ffmpeg -hide_banner -nostdin -nostats -loglevel warning -y -progress pipe:1 -threads 0 -max_pixels 35651584 -copyts -noaccurate_seek -protocol_whitelist file -format_whitelist mov,matroska,avi,flv,live_flv,mpegts,mpeg,asf,ogg,rm,mxf,nut,dv,gxf,ivf,wtv,nsv,yuv4mpegpipe,mpegvideo,h264,hevc,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,caf,ape,wv,tta,tak,mpc,mpc8,amr,dsf,jpeg_pipe,png_pipe,apng,gif,webp_pipe,bmp_pipe,tiff_pipe,psd_pipe,j2k_pipe,jpegxl_pipe,qoi_pipe,exr_pipe,ico -i file:/var/lib/nebula/objects/objects/originals/a2b75b38-5ec3-47b9-9f28-b5add4bab26a -map 0:0 -map_metadata -1 -map_chapters -1 -sn -dn -vf settb=AVTB,trim=end=2.490000,scale=w=96:h=64,setsar=1,format=yuv420p -fps_mode passthrough -enc_time_base 1:120000 -video_track_timescale 120000 -c:v libx264 -preset veryfast -crf 21 -maxrate 1500k -bufsize 3000k -profile:v high -pix_fmt yuv420p -level:v 3.1 -sc_threshold 0 -threads 0 -x264-params open-gop=0:stitchable=1 -force_key_frames ''expr:gte(t,n_forced*2)'' -output_ts_offset -0.030000 -frames:v 25 -an -f mp4 file:/var/lib/nebula/scratch/encode/e2bcd042-a133-46be-970e-36972ee09109-1-1/chunk.mp4', NULL, NULL, NULL, '', 5, 2, 0, '2026-11-30 07:07:04.68154', '2026-11-30 07:07:04.693212', '2026-11-30 07:07:10.370389', 'chunks', 'libx264', 'SHA256:5059a458c9e8117ffa0a65d4aaad1b0705506ded03b0894496bd35aafd036411', NULL, 0, 0);
INSERT INTO public.jobs VALUES ('7ead4610-a66f-4b32-9920-d4b771513df3', 'e5f9a1f1-6a98-4b7c-9d27-f432ca44dce6', 'probe', 'quick', 'done', 0, 1, 0, 0, NULL, 1, NULL, NULL, 'n1', NULL, 'encode', 1, '["container is matroska, not MP4", "video is mpeg2video, not H.264", "audio is mp2, not AAC-LC"]', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, '2026-11-30 07:07:21.815474', '2026-11-30 07:07:21.829932', '2026-11-30 07:07:22.946744', 'whole', NULL, NULL, NULL, 0, 0);
INSERT INTO public.renditions VALUES ('2e8a480a-4939-4d5b-b221-384ed4e7b2a0', '2f0430dc-bf28-4218-b5bc-52487a521ae1', '64p', 'renditions/6203a86e-bb14-43f2-b8e0-ee420a4aa789/1.mp4', 276497, 'e16ff6e09c544378aee9a20839715890cfd63a429c4145ce988840fa18fe5c2c', 96, 64, 10.008, 'h264', 'aac', '2026-11-30 07:07:01.274796');
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_name_key UNIQUE (name);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.backups
    ADD CONSTRAINT backups_pkey PRIMARY KEY (target);
ALTER TABLE ONLY public.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (job_id, number);
ALTER TABLE ONLY public.contents
    ADD CONSTRAINT contents_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.contents
    ADD CONSTRAINT contents_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.doomed_objects
    ADD CONSTRAINT doomed_objects_pkey PRIMARY KEY (object_key);
ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.login_failures
    ADD CONSTRAINT login_failures_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.operations
    ADD CONSTRAINT operations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.power_changes
    ADD CONSTRAINT power_changes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.purge_holds
    ADD CONSTRAINT purge_holds_pkey PRIMARY KEY (holder);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_jti_key UNIQUE (jti);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT renditions_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT renditions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.subtitles
    ADD CONSTRAINT subtitles_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.subtitles
    ADD CONSTRAINT subtitles_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.contents
    ADD CONSTRAINT unq_contents__account_id_sha256 UNIQUE (account_id, sha256);
ALTER TABLE ONLY public.files
    ADD CONSTRAINT unq_files__account_id_name_content_id UNIQUE (account_id, name, content_id);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT unq_renditions__content_id_rung UNIQUE (content_id, rung);
ALTER TABLE ONLY public.subtitles
    ADD CONSTRAINT unq_subtitles__content_id_number UNIQUE (content_id, number);
ALTER TABLE ONLY public.upload_parts
    ADD CONSTRAINT upload_parts_pkey PRIMARY KEY (upload_id, number);
ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_object_key_key UNIQUE (object_key);
ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_pkey PRIMARY KEY (id);
CREATE INDEX doomed_objects_by_time ON public.doomed_objects USING btree (delete_after);
CREATE INDEX files_by_content ON public.files USING btree (content_id);
CREATE INDEX files_by_deletion ON public.files USING btree (deleted_at);
CREATE INDEX files_by_name ON public.files USING btree (name);
CREATE INDEX idx_chunks__state_job_id ON public.chunks USING btree (state, job_id);
CREATE INDEX idx_files__created_at_id ON public.files USING btree (created_at, id);
CREATE INDEX idx_jobs__queue_state_priority_created_at ON public.jobs USING btree (queue, state, priority, created_at);
CREATE INDEX idx_power_changes__node_at ON public.power_changes USING btree (node, at);
CREATE INDEX jobs_by_content ON public.jobs USING btree (content_id);
CREATE INDEX links_by_account ON public.links USING btree (account_id);
CREATE INDEX links_by_file ON public.links USING btree (file_id);
CREATE INDEX links_by_rendition ON public.links USING btree (rendition_id);
CREATE INDEX links_by_subtitles ON public.links USING btree (subtitles_id);
CREATE INDEX operations_by_time ON public.operations USING btree (created_at);
CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens USING btree (session_id);
CREATE INDEX sessions_by_account ON public.sessions USING btree (account_id);
CREATE INDEX uploads_by_account ON public.uploads USING btree (account_id);
CREATE INDEX uploads_by_expiry ON public.uploads USING btree (expires_at);
ALTER TABLE ONLY public.chunks
    ADD CONSTRAINT chunks_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.contents
    ADD CONSTRAINT contents_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_content_id_fkey FOREIGN KEY (content_id) REFERENCES public.contents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_content_id_fkey FOREIGN KEY (content_id) REFERENCES public.contents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.files(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_rendition_id_fkey FOREIGN KEY (rendition_id) REFERENCES public.renditions(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_subtitles_id_fkey FOREIGN KEY (subtitles_id) REFERENCES public.subtitles(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT renditions_content_id_fkey FOREIGN KEY (content_id) REFERENCES public.contents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.subtitles
    ADD CONSTRAINT subtitles_content_id_fkey FOREIGN KEY (content_id) REFERENCES public.contents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.upload_parts
    ADD CONSTRAINT upload_parts_upload_id_fkey FOREIGN KEY (upload_id) REFERENCES public.uploads(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
